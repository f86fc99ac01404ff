// Chain: what a tracked call sees, hop by hop. It is loaded by ThriftPy 0.3.9, ThriftPy2 and Thriftloom.
namespace py chain

exception Barred {
  1: string reason,
}

service Chain {
  void ping(),

  // What this server sees of the call, REQUEST_ID|SEQ|KEY=VALUE,… or "plain", and what those behind it see.
  list<string> follow(1: i32 depth),

  // Raises Barred.
  string refuse(1: string reason) throws (1: Barred barred),

  // Raises what no caller was told of.
  string crash(1: string reason),

  // Raises a TApplicationException.
  string fail(1: string reason),

  oneway void note(1: string word),

  // The words that were noted.
  list<string> noted(),
}
