// What the ThriftPy peers of these tests serve and call.
struct Place { 1: string street, 2: string city = "Bremen" }
struct User { 1: i64 id, 2: string name, 3: map<string, i32> marks, 4: set<string> tags, 5: list<Place> places, 6: optional double weight }
struct Query { 1: string text, 2: map<string, i32> ranges, 3: set<i64> ids, 4: bool strict = 1 }
exception NotFound { 1: i64 id }
service Users {
    User getUser(1: i64 id) throws (1: NotFound missing),
    list<User> search(1: Query query, 2: i32 page),
    void putUser(1: User user) throws (1: NotFound missing),
    void removeUser(1: i64 id),
    i64 loads(),
    oneway void touch(1: i64 id),
}
