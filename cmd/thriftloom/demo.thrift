namespace * demo

enum Role {
  MEMBER = 1,
  ADMIN = 2,
}

struct User {
  1: i64 id,
  2: string name,
  3: optional string email,
  4: Role role,
}

exception NotFound {
  1: i64 id,
}

service Users {
  void ping(),
  User getUser(1: i64 id) throws (1: NotFound notFound),
}
