package peertest

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
)

// HTTP makes each request on a connection of its own, so that the watching holds no descriptor of what is watched.
var HTTP = http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Snapshot asks the admin API at an address; empty where it does not answer.
func Snapshot(admin string) (s status.Snapshot) {
	r, err := HTTP.Get("http://" + admin + "/api/v1/snapshot")
	if err != nil {
		return s
	}
	defer r.Body.Close()
	_ = json.NewDecoder(r.Body).Decode(&s)
	return s
}
