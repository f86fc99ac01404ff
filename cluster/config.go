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
}

// Default returns the block of a file that says nothing of the queue.
func Default() Config { return Config{Queue: QueueConfig{MaxCalls: 1024, MaxWait: 5 * time.Second}} }
