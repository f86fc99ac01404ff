// What the workers of bench-balance serve.
service Work {
    i32 work(1: i32 micros),     // works for so long, at the worker's speed, one call at a time; returns what it was given
    void pace(1: double speed),  // 1: as fast as micros says
    void fail(1: bool on),       // whether each work raises at once
}
