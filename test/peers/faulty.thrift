// Faulty: a service whose process can be made to fail in ways that no handler of Kinds does.
namespace py faulty

service Faulty {
  void ping(),

  // The process that answers.
  i32 pid(),

  // Answers after a while, with what it was given.
  i32 sleep(1: i32 millis),

  // Fails as faulty_server.py says under that name; returns what it found, where it comes to return.
  i32 misbehave(1: string how, 2: i32 amount),
}
