package idl

// File is the syntax tree of one IDL file. It is as the file says: names are not looked up and values not checked.
type File struct {
	Name        string // as given to Parse; the File of every Pos below
	Doc         string // the doc comment above the first header
	Source      string
	Includes    []*Include
	CppIncludes []string
	Namespaces  []*Namespace
	Definitions []Definition // in the order of the file
	Warnings    []Mistake    // what is legal and probably not meant, at most MaxMistakes
	Incomplete  bool         // parsing gave up (too many mistakes, or a file too large): definitions may be missing

	lines []int32 // where each line begins in Source
}

// Definition is a *Const, *Typedef, *Enum, *Struct or *Service.
type Definition interface {
	// Def returns the name, and where it stands.
	Def() (string, Pos)
}

// The Pos of a definition, field, function or enum value is where its name stands. Doc is the text of the /** */ comment before it,
// without the stars.
type (
	// Include is an include header. Pos is where the path stands.
	Include struct {
		Path string
		Pos  Pos
	}

	// Namespace is a namespace header. The old forms (php_namespace, java_package, …) have the scope that they mean.
	Namespace struct {
		Scope       string // "py", "*"
		Name        string
		Annotations []Annotation
		Pos         Pos
	}

	// Const is a constant.
	Const struct {
		Name        string
		Type        *TypeRef
		Value       *ConstValue
		Doc         string
		Annotations []Annotation
		Pos         Pos
	}

	// Typedef is a name for a type. An old senum is a typedef of string.
	Typedef struct {
		Name        string
		Type        *TypeRef
		Doc         string
		Annotations []Annotation
		Pos         Pos
	}

	// Enum is an enum.
	Enum struct {
		Name        string
		Values      []*EnumValue
		Doc         string
		Annotations []Annotation
		Pos         Pos
	}

	// EnumValue is one name of an enum.
	EnumValue struct {
		Name        string
		Value       int64 // where Explicit
		Explicit    bool
		ValuePos    Pos // where Explicit
		Doc         string
		Annotations []Annotation
		Pos         Pos
	}

	// Struct is a struct, union or exception.
	Struct struct {
		Kind        StructKind
		Name        string
		Fields      []*Field
		Doc         string
		Annotations []Annotation
		Pos         Pos
	}

	// Service is a service.
	Service struct {
		Name        string
		Extends     string // "" for none
		ExtendsPos  Pos
		Functions   []*Function
		Doc         string
		Annotations []Annotation
		Pos         Pos
	}

	// Function is a method of a service.
	Function struct {
		Name        string
		Oneway      bool
		Result      *TypeRef // nil for void
		Args        []*Field
		Throws      []*Field
		Doc         string
		Annotations []Annotation
		Pos         Pos
	}

	// Field is a field of a struct, an argument, or an entry of throws.
	Field struct {
		// ID is as written, or where Implicit as ThriftPy and Apache assign it: -1, -2, … among the fields without an id of one list.
		ID          int64
		Implicit    bool
		IDPos       Pos // where the id stands; Pos where Implicit
		Required    bool
		Optional    bool
		Type        *TypeRef
		Reference   bool // "&": a C++ pointer, the same on the wire
		Name        string
		Default     *ConstValue // nil for none
		Doc         string
		Annotations []Annotation
		Pos         Pos
	}

	// TypeRef is a type as written.
	TypeRef struct {
		Name        string   // "i32", "map", "User", "shared.User"
		Key         *TypeRef // of a map
		Elem        *TypeRef // of a list or set; the value of a map
		CppType     string   // of cpp_type, which means nothing on the wire
		Annotations []Annotation
		Pos         Pos
	}

	// ConstValue is a value as written.
	ConstValue struct {
		Kind    ConstKind
		Int     int64   // of an Int; 0 or 1 of a Bool
		Double  float64 // of a Double
		Text    string  // of a Literal, unescaped; of a Name
		List    []*ConstValue
		Entries []ConstEntry // of a Map
		Pos     Pos
	}

	// ConstEntry is one entry of a map.
	ConstEntry struct{ Key, Value *ConstValue }

	// Annotation is one (key = "value").
	Annotation struct {
		Name  string
		Value string // "" where only the key is written
		Pos   Pos
	}
)

// StructKind tells structs apart.
type StructKind uint8

// The kinds of struct.
const (
	Plain StructKind = iota
	Union
	Exception
)

// String returns the keyword.
func (k StructKind) String() string { return [...]string{"struct", "union", "exception"}[k] }

// ConstKind says what a ConstValue is.
type ConstKind uint8

// The kinds of value. A Name is a constant or an enum's value: "MAX", "shared.Color.RED".
const (
	Int ConstKind = iota
	Double
	Bool
	Literal
	Name
	List
	Map
)

// Def returns the name, and where it stands.
func (c *Const) Def() (string, Pos)   { return c.Name, c.Pos }
func (t *Typedef) Def() (string, Pos) { return t.Name, t.Pos }
func (e *Enum) Def() (string, Pos)    { return e.Name, e.Pos }
func (s *Struct) Def() (string, Pos)  { return s.Name, s.Pos }
func (s *Service) Def() (string, Pos) { return s.Name, s.Pos }
