package codec

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// The shape order10k: nested structs, lists, maps, doubles and i64, about 9.7 KB on the wire.
var orders = schema.MustParse(`
struct Place { 1: string street, 2: string city, 3: string country, 4: i32 zip }
struct Customer { 1: i64 id, 2: string name, 3: string email, 4: Place address, 5: list<string> tags }
struct Item {
  1: i64 id, 2: string sku, 3: string name, 4: i32 quantity, 5: double price, 6: double tax, 7: bool gift,
  8: list<string> labels, 9: map<string, string> attributes, 10: list<i64> stock
}
struct Order {
  1: i64 id, 2: Customer customer, 3: list<Item> items, 4: map<string, double> totals, 5: i64 created, 6: optional string note,
  7: map<i64, i32> batches, 8: list<double> rates
}
`)

type (
	placeGo struct {
		Street, City, Country string
		Zip                   int32
	}
	customerGo struct {
		ID          int64
		Name, Email string
		Address     *placeGo
		Tags        []string
	}
	itemGo struct {
		ID         int64
		SKU, Name  string
		Quantity   int32
		Price, Tax float64
		Gift       bool
		Labels     []string
		Attributes map[string]string
		Stock      []int64
	}
	orderGo struct {
		ID       int64
		Customer *customerGo
		Items    []*itemGo
		Totals   map[string]float64
		Created  int64
		Note     *string
		Batches  map[int64]int32
		Rates    []float64
	}
)

func order10k() *orderGo {
	o := &orderGo{
		ID: 1, Created: 1_700_000_000, Note: ptr("leave at the door"), Totals: map[string]float64{}, Batches: map[int64]int32{},
		Customer: &customerGo{
			ID: 2, Name: "A. Customer", Email: "customer@example.com", Tags: []string{"gold", "early"},
			Address: &placeGo{Street: "1 Long Street", City: "Bonn", Country: "Germany", Zip: 53111},
		},
	}
	for i := range 20 {
		o.Totals[fmt.Sprintf("total-%02d", i)] = float64(i) * 1.5
		o.Batches[int64(i)] = int32(i)
		o.Rates = append(o.Rates, float64(i)/3)
	}
	for i := range 39 {
		o.Items = append(o.Items, &itemGo{
			ID: int64(i), SKU: fmt.Sprintf("SKU-%06d", i), Name: fmt.Sprintf("article number %d", i), Quantity: 3, Price: 9.99, Tax: 0.19,
			Labels:     []string{"new", "fragile", "blue"},
			Attributes: map[string]string{"color": "blue", "size": "large", "weight": "12kg"}, Stock: []int64{1, 2, 3, 4},
		})
	}
	return o
}

func BenchmarkDecode(b *testing.B) {
	typ := TypeOf(orders.Lookup("Order").(*schema.StructType))
	plan, _ := Compile(typ, reflect.TypeFor[orderGo]())
	for _, p := range loops {
		body, err := plan.Append(nil, p, order10k())
		if err != nil {
			b.Fatal(err)
		}
		run := func(mode string, f func() error) {
			b.Run("protocol="+p.String()+"/shape=order10k/mode="+mode, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("typed", func() error {
			var o orderGo
			_, err := plan.Decode(p, body, &o, wire.Limits{})
			return err
		})
		run("dynamic", func() error {
			_, _, err := DecodeValue(p, typ, body, wire.Limits{})
			return err
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	typ := TypeOf(orders.Lookup("Order").(*schema.StructType))
	plan, _ := Compile(typ, reflect.TypeFor[orderGo]())
	order := order10k()
	buf, err := plan.Append(nil, wire.Binary, order)
	if err != nil {
		b.Fatal(err)
	}
	value, _, err := DecodeValue(wire.Binary, typ, buf, wire.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	run := func(mode string, f func() error) {
		b.Run("shape=order10k/mode="+mode, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("typed", func() (err error) { buf, err = plan.Append(buf[:0], wire.Binary, order); return err })
	run("dynamic", func() (err error) { buf, err = AppendValue(buf[:0], wire.Binary, typ, value); return err })
	run("typed compact", func() (err error) { buf, err = plan.Append(buf[:0], wire.Compact, order); return err })
	run("json", func() (err error) { buf, err = AppendJSON(buf[:0], typ, value); return err })
}
