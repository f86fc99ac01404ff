// Package order makes the struct of about 10 KB that benchmarks carry: the shape order10k, nested structs, lists, maps and doubles.
package order

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// IDL defines the structs.
//
//go:embed order.thrift
var IDL string

// Arguments returns a struct in binary whose field 1 is the order.
func Arguments() ([]byte, error) {
	t := codec.TypeOf(schema.MustParse(IDL).Lookup("Arguments").(*schema.StructType))
	text, err := json.Marshal(map[string]any{"order": value()})
	if err != nil {
		return nil, err
	}
	v, err := codec.ParseJSON(t, text)
	if err != nil {
		return nil, err
	}
	return codec.AppendValue(nil, wire.Binary, t, v)
}

func value() map[string]any {
	totals, batches, rates, items := map[string]float64{}, map[string]int{}, []float64{}, []any{}
	for i := range 20 {
		totals[fmt.Sprintf("total-%02d", i)] = float64(i) * 1.5
		batches[fmt.Sprint(i)] = i
		rates = append(rates, float64(i)/3)
	}
	for i := range 39 {
		items = append(items, map[string]any{
			"id": i, "sku": fmt.Sprintf("SKU-%06d", i), "name": fmt.Sprintf("article number %d", i), "quantity": 3, "price": 9.99, "tax": 0.19,
			"labels": []string{"new", "fragile", "blue"}, "stock": []int{1, 2, 3, 4},
			"attributes": map[string]string{"color": "blue", "size": "large", "weight": "12kg"},
		})
	}
	return map[string]any{
		"id": 1, "created": 1_700_000_000, "note": "leave at the door", "totals": totals, "batches": batches, "rates": rates, "items": items,
		"customer": map[string]any{
			"id": 2, "name": "A. Customer", "email": "customer@example.com", "tags": []string{"gold", "early"},
			"address": map[string]any{"street": "1 Long Street", "city": "Bonn", "country": "Germany", "zip": 53111},
		},
	}
}
