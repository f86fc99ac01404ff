package idl

// topWords may begin a header or a definition.
var topWords = []string{
	"include", "cpp_include", "namespace", "const", "typedef", "enum", "senum", "struct", "union", "exception", "service",
}

// definitionWord says whether w begins a header or a definition.
func definitionWord(w string) bool {
	switch w {
	case "include", "cpp_include", "namespace", "const", "typedef", "enum", "senum", "struct", "union", "exception", "service":
		return true
	}
	return false
}

// oldNamespaces are the forms of namespace from before 2008, with the scope that each means.
var oldNamespaces = map[string]string{
	"cpp_namespace": "cpp", "php_namespace": "php", "py_module": "py", "perl_package": "perl", "ruby_namespace": "rb",
	"smalltalk_category": "smalltalk.category", "smalltalk_prefix": "smalltalk.prefix", "java_package": "java",
	"cocoa_prefix": "cocoa", "csharp_namespace": "csharp", "delphi_namespace": "delphi", "xsd_namespace": "xsd",
}

// baseType says whether w is the name of a type that needs no definition. uuid is none here: old files define a type of that name.
func baseType(w string) bool {
	switch w {
	case "bool", "byte", "i8", "i16", "i32", "i64", "double", "string", "binary", "slist", "map", "list", "set":
		return true
	}
	return false
}

// BaseTypes are the names of types that need no definition.
var BaseTypes = []string{
	"bool", "byte", "i8", "i16", "i32", "i64", "double", "string", "binary", "uuid", "map", "list", "set",
}

// notNames are words that other Thrift compilers refuse as names: Thrift's own keywords, the words of many languages that Apache
// reserved until 0.18 and ThriftPy still does, and the keywords of Python 3, with which ThriftPy makes a broken class.
var notNames = set(
	"namespace", "include", "cpp_include", "void", "bool", "byte", "i8", "i16", "i32", "i64", "double", "string", "binary", "map", "list",
	"set", "oneway", "typedef", "struct", "union", "exception", "extends", "throws", "service", "enum", "const", "required", "optional",

	"BEGIN", "END", "__CLASS__", "__DIR__", "__FILE__", "__FUNCTION__", "__LINE__", "__METHOD__", "__NAMESPACE__", "abstract", "alias",
	"and", "args", "as", "assert", "begin", "break", "case", "catch", "class", "clone", "continue", "declare", "def", "default", "del",
	"delete", "do", "dynamic", "elif", "else", "elseif", "elsif", "end", "enddeclare", "endfor", "endforeach", "endif", "endswitch",
	"endwhile", "ensure", "except", "exec", "finally", "float", "for", "foreach", "from", "function", "global", "goto", "if",
	"implements", "import", "in", "inline", "instanceof", "interface", "is", "lambda", "module", "native", "new", "next", "nil", "not",
	"or", "package", "pass", "public", "print", "private", "protected", "raise", "redo", "rescue", "retry", "register", "return", "self",
	"sizeof", "static", "super", "switch", "synchronized", "then", "this", "throw", "transient", "try", "undef", "unless", "unsigned",
	"until", "use", "var", "virtual", "volatile", "when", "while", "with", "xor", "yield",

	"async", "await", "nonlocal", "None", "True", "False",
)

func set(words ...string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}
