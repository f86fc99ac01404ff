// Package idl turns Thrift text into a syntax tree, and reports every mistake in it with its position.
package idl

import "fmt"

// Pos is a place in a source. Line and Col count from 1; Col counts bytes.
type Pos struct {
	File string
	Line int
	Col  int
}

// String returns file:line:col.
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// Mistake is one thing that is wrong, or in doubt, in an IDL.
type Mistake struct {
	Pos     Pos
	Text    string // one line, lower case: `no type named "Usr"; did you mean "User"?`
	Source  string // the line of the source, without its end
	Warning bool   // legal, and probably not meant
}

// String returns file:line:col: text.
func (m Mistake) String() string { return m.Pos.String() + ": " + m.Text }

// Mistakes is every mistake of a load, in order of file and position. It is the error that parsing and loading return.
type Mistakes []Mistake
