// What the worker of bench-cache serves.
service Cached {
    string get(1: i64 id, 2: string filter),  // 200 bytes
    i32 empty(1: i32 n),                      // what it was given, at once
}
