// Versions: a service of which two versions are deployed, as versions_server.py has them.
namespace py versions

struct Address {
  1: string street,
  2: string city,
}

struct User {
  1: i64 id,
  2: string name,
  3: Address home,
  4: set<string> tags,
  5: map<string, i64> marks,
  6: i64 updatedAt,
  7: i32 level = 3,
}

exception NotFound {
  1: i64 id,
  2: string message,
}

service Versions {
  void ping(),

  // Who there is below 400; from there on nobody.
  User get(1: i64 id) throws (1: NotFound missing),

  // Counts.
  void put(1: User user),

  // How often put was called.
  i64 puts(),
}
