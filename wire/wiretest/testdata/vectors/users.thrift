enum Role { GUEST = 0, ADMIN = 7 }
struct Point { 1: double x, 2: double y }
struct User {
  1: i64 id, 2: string name, 3: bool active, 4: byte level, 5: i16 port, 6: i32 score, 7: double ratio, 8: binary avatar,
  9: list<string> tags, 10: set<i32> groups, 11: map<string, i64> counts, 12: Role role, 13: list<Point> path,
  14: map<string, list<Point>> tracks, 15: list<list<i32>> grid, 16: map<i32, map<string, bool>> deep, 17: list<bool> bits
}
struct Tree { 1: i32 v, 2: list<Tree> kids }
exception NotFound { 1: i64 id, 2: string why }
service Users {
  void ping(),
  string echo(1: string s),
  User getUser(1: i64 id) throws (1: NotFound nf),
  bool put(1: User user),
  list<User> listUsers(1: list<i64> ids),
  map<string, i64> counts(1: set<string> names),
  Tree grow(1: Tree t),
  oneway void track(1: string event, 2: map<string, string> tags),
  double sum(1: list<double> xs),
  binary blob(1: binary b)
}
