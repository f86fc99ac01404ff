package idl
import ("testing";"os";"fmt")
func TestZ(t *testing.T){ b,_:=os.ReadFile("/tmp/idltry/bad.thrift"); f,m:=Parse("bad.thrift",b); fmt.Println(m.Render()); fmt.Println("WARN", Mistakes(f.Warnings).Render()); for _,d:=range f.Definitions{n,_:=d.Def(); fmt.Println(n)}}
