package bind_test

// misfit returns an error whose type has an exception's name and other fields.
func misfit() error {
	type NotFound struct {
		misfitError
		ID string
	}
	return &NotFound{}
}

type misfitError struct{}

func (misfitError) Error() string { return "misfit" }
