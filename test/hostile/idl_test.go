package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A hostile IDL is refused with its place and what is wrong; the gateway goes on with the one that it has, and answers.
func TestIDL(t *testing.T) {
	d := openDoor(t, "", "")
	dir := filepath.Dir(d.idl)
	service := "\nservice Users { string get(1: string key) }\n"
	for name, text := range map[string]string{
		"cycle.thrift": "include \"users.thrift\"\n",
		"a.thrift":     "include \"b.thrift\"\n", "b.thrift": "include \"a.thrift\"\n",
		"../shared.thrift": "typedef string Key\n", "../secret.txt": "password: hunter2\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ name, text, want string }{ // want "": it is legal
		{"unterminated comment", service + "/* never ends", "comment is never closed"},
		{"unterminated string", "const string A = \"never ends" + service, "string is not closed"},
		{"unterminated struct", service + "struct S { 1: i32 a", "struct S is never closed"},
		{"unterminated service", "service Users { string get(1: string key", "Users"},
		{"cyclic include", "include \"cycle.thrift\"" + service, "includes lead back to this file"},
		{"cyclic include of others", "include \"a.thrift\"" + service, "includes lead back to this file"},
		{"include of itself", "include \"users.thrift\"" + service, "includes lead back to this file"},
		{"self-typedef", "typedef A A" + service, "leads back to itself"},
		{"typedefs in a ring", "typedef B A\ntypedef C B\ntypedef A C" + service, "leads back to itself"},
		{"duplicate ids", "struct S { 1: i32 a, 1: i32 b }" + service, "is already the id of"},
		{"duplicate ids of arguments", "service Users { string get(1: string key, 1: string other) }", "is already the id of"},
		{"huge constants", "const i64 A = 99999999999999999999999999" + service, "does not fit"},
		{"huge constant of a smaller type", "const i16 A = 70000" + service, "does not fit i16"},
		{"deep nesting of values", "const list<i32> A = " + strings.Repeat("[", 100_000) + service, "nest deeper"},
		{"deep nesting of types", "struct S { 1: " + strings.Repeat("list<", 100_000) + "i32" + strings.Repeat(">", 100_000) + " a }" + service, "nest deeper"},
		{"a million structs", strings.Repeat("struct S{}", 1_000_000) + service, ""},
		{"BOM", "\xef\xbb\xbf" + usersIDL, ""},
		{"BOM in the middle", service + "\xef\xbb\xbf", "illegal character"},
		{"NUL bytes", "\x00\x00\x00\x00" + service, "illegal character"},
		{"invalid UTF-8", "struct \xc3\x28 {}" + service, "illegal character"},
		{"path escape in include", "include \"../secret.txt\"" + service, "does not end in .thrift"},
		{"absolute path in include", "include \"/etc/passwd\"" + service, "does not end in .thrift"},
		{"device in include", "include \"/dev/zero\"" + service, "is not a regular file"},
		{"include above the folder", "include \"../shared.thrift\"" + strings.ReplaceAll(usersIDL, "string key", "shared.Key key"), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := os.WriteFile(d.idl, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			result, err := d.gateway.Reload(t.Context())
			runtime.ReadMemStats(&after)
			said := fmt.Sprint(err)
			if err == nil {
				said = strings.Join(result.Mistakes, "\n")
			}
			switch {
			case test.name == "a million structs":
				if said == "" {
					t.Error("an IDL of 10 MB was taken")
				}
			case test.want == "" && said != "" || !strings.Contains(said, test.want):
				t.Errorf("said %.300q, want %q", said, test.want)
			case test.want != "" && !strings.Contains(said, ".thrift:"):
				t.Errorf("%.300q names no place", said)
			}
			if strings.Contains(said, "hunter2") || strings.Contains(said, "root:") {
				t.Errorf("a mistake shows what stands in another file: %.300s", said)
			}
			// A tree, the schema and the mistakes are more than the text, and all that a reload makes is counted.
			if got := after.TotalAlloc - before.TotalAlloc; got > uint64(64*len(test.text)+16<<20) {
				t.Errorf("%d bytes allocated for %d bytes of IDL", got, len(test.text))
			}
			d.caller(t, forms[0]).good(t)
		})
	}
}
