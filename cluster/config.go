package cluster

import "time"

// Config is the cluster's block of a service.
type Config struct {
	// Queue bounds the calls that wait for a slot.
	Queue QueueConfig `yaml:"queue"`
}

// QueueConfig bounds the one queue of a cluster.
type QueueConfig struct {
	// MaxCalls bounds how many calls wait for a slot, in calls; a call beyond it is refused at once. 0 means that no call waits.
	// Default 1024; 0 to 1,000,000.
	MaxCalls int `yaml:"max_calls" min:"0" max:"1000000"`
	// MaxWait bounds how long a call waits for a slot; its deadline bounds it as well. 0 means that no call waits. Default 5s; 0 to 1h.
	MaxWait time.Duration `yaml:"max_wait" min:"0s" max:"1h"`
	// Target is how long calls wait, about, while the upstream is overloaded: while more calls come than are answered, three intervals in a
	// row, though calls wait for longer than that and for a quarter of the time that they may (max_wait, their timeout), or the queue is full.
	// Then no more calls wait than are answered in time, others are refused at once, those of a low priority first, and calls that have
	// waited for twice the target are refused. Where calls take long it is three times what they take, on average: who waits for a slot waits
	// for other calls to end. An upstream whose queue does not grow is never overloaded. 0 turns this off.
	// Default 20ms; 0 to 1h.
	Target time.Duration `yaml:"target" min:"0s" max:"1h"`
	// Interval is how long the queue is watched before it is judged, five targets at least. Default 100ms; 1ms to 1h.
	Interval time.Duration `yaml:"interval" min:"1ms" max:"1h"`
}

// Default returns the block of a file that says nothing of the queue.
func Default() Config {
	return Config{Queue: QueueConfig{MaxCalls: 1024, MaxWait: 5 * time.Second, Target: 20 * time.Millisecond, Interval: 100 * time.Millisecond}}
}
