package handover

// up is the end of an offer.
type up struct {
	Up []string `json:"up"`
}

// Close closes what is left of an offer that was received: fields that are nil were taken.
func (o *Offer) Close() {
	for _, f := range []File{o.Lock, o.Door} {
		closeFile(f)
	}
	for _, l := range o.Listeners {
		closeFile(l.Socket)
	}
	for _, r := range o.Replicas {
		closeFile(r.Output)
		closeFile(r.Leash)
	}
}

func closeFile(f File) {
	if f != nil {
		_ = f.Close()
	}
}
