package message

import (
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/apachejson"
	"github.com/thriftloom/thriftloom/wire/json"
)

// The protocols that are text: something stands behind the struct, too.
var (
	jsonFormat = format{
		parse:             json.Parse,
		peek:              json.Peek,
		appendHead:        json.AppendHead,
		tail:              []byte(json.Tail),
		empty:             []byte(json.Empty),
		appendApplication: json.AppendApplication,
		parseApplication:  json.ParseApplication,
		resultField: func(body []byte) (id int16, name string, ok bool) {
			name, ok = json.ResultField(body)
			return 0, name, ok
		},
	}
	apacheFormat = format{
		parse:             apachejson.Parse,
		peek:              apachejson.Peek,
		appendHead:        func(dst []byte, h wire.Head, _ int) []byte { return apachejson.AppendHead(dst, h) },
		tail:              []byte(apachejson.Tail),
		empty:             []byte(apachejson.Empty),
		appendApplication: apachejson.AppendApplication,
		parseApplication:  apachejson.ParseApplication,
		resultField: func(body []byte) (id int16, name string, ok bool) {
			id, ok = apachejson.ResultField(body)
			return id, "", ok
		},
	}
)
