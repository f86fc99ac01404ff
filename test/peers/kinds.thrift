// Kinds: one method for each kind of thing that a Thrift service can have.
//
// It is loaded by ThriftPy 0.3.9, ThriftPy2 and Thriftloom: explicit ids, no annotations, nothing used before it is defined.
namespace py kinds

enum Color {
  RED = 1,
  GREEN = 2,
  BLUE = 5,
}

struct Point {
  1: i32 x,
  2: i32 y,
}

struct Shape {
  1: string name,
  2: optional string label,
  3: Point origin,
  4: list<Point> corners,
  5: Color color,
  6: map<string, Point> marks,
  7: bool closed = true,
}

struct Bases {
  1: bool flag,
  2: byte tiny,
  3: i16 small,
  4: i32 medium,
  5: i64 large,
  6: double real,
  7: string text,
  8: binary raw,
}

union Value {
  1: i64 number,
  2: string text,
  3: Point point,
}

exception Refused {
  1: string reason,
  2: i32 code,
}

service Kinds {
  void ping(),

  bool echoBool(1: bool value),
  byte echoByte(1: byte value),
  i16 echoI16(1: i16 value),
  i32 echoI32(1: i32 value),
  i64 echoI64(1: i64 value),
  double echoDouble(1: double value),
  string echoString(1: string value),
  binary echoBinary(1: binary value),
  Color echoColor(1: Color value),
  Bases echoBases(1: Bases value),
  Shape echoShape(1: Shape value),
  Value echoValue(1: Value value),
  map<string, list<set<i32>>> echoNested(1: map<string, list<set<i32>>> value),
  map<i32, map<Color, Shape>> echoShapes(1: map<i32, map<Color, Shape>> value),

  // A text of that many bytes.
  string big(1: i32 bytes),

  // Answers after a while, with what it was given.
  i32 sleep(1: i32 millis),

  // The process that answers.
  i32 pid(),

  // Raises Refused.
  string refuse(1: string reason, 2: i32 code) throws (1: Refused refused),

  // Raises what no caller was told of.
  string crash(1: string reason),

  // Waits, then records the word.
  oneway void remember(1: string word, 2: i32 millis),

  // Records the word, then raises what no caller was told of.
  oneway void stumble(1: string word),

  // The recorded words that begin so, in order.
  list<string> remembered(1: string prefix),
}
