// Auto is what `make bench-auto` calls.
service Auto {
    // works in Python for about so long, with the interpreter's lock held
    i32 work(1: i32 millis)
    // waits
    i32 wait(1: i32 millis)
}
