// Faulty: a service whose process can be made to fail in ways that no handler of Kinds does.
namespace py faulty

exception Refused {
  1: string reason,
}

service Faulty {
  void ping(),

  // The process that answers.
  i32 pid(),

  // Answers after a while, with what it was given.
  i32 sleep(1: i32 millis),

  // Refuses every call, with an exception that is declared.
  void refuse() throws (1: Refused refused),

  // Fails as faulty_server.py says under that name; returns what it found, where it comes to return.
  i32 misbehave(1: string how, 2: i32 amount),
}
