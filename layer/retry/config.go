package retry

// Config is the retry layer's block, `retry`.
type Config struct {
	// Attempts bounds how often one call is tried, the first try included. 1 means that nothing is tried again. Default 3; 1 to 10.
	Attempts int `yaml:"attempts" min:"1" max:"10"`
	// BudgetPercent bounds the tries of calls that may have been processed before, in percent of the idempotent calls of the upstream lately; a hundred after
	// a rest, and five a second, there are always. Hedges are taken from the same. Calls of which nothing was sent are not counted. Default 15; 0 to 100.
	BudgetPercent int `yaml:"budget_percent" min:"0" max:"100"`
}

// Default returns the block of a file that says nothing of retries.
func Default() Config { return Config{Attempts: 3, BudgetPercent: 15} }
