// Users: who there is, and what they do.
namespace py users

enum Role {
  READER = 1,
  EDITOR = 2,
  OWNER = 3,
}

struct Address {
  1: string street,
  2: string city,
  3: optional string country,
}

struct User {
  1: i64 id,
  2: string name,
  3: optional string email,
  4: Role role,
  5: optional Address address,
  6: list<string> tags,
}

exception NotFound {
  1: i64 id,
  2: string message,
}

service Users {
  // Answers, and does nothing.
  void ping(),

  User getUser(1: i64 id) throws (1: NotFound missing),

  // At most `limit` users, by id; all of them where it is zero.
  list<User> listUsers(1: i32 limit),

  // Notes that something happened. Nobody waits for it.
  oneway void track(1: string event),
}
