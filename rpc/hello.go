package rpc

// HelloMethod is the call by which a caller asks, first on a connection, for replies as they are ready: in any order, told apart by their
// sequence ids. Its arguments are a struct without fields, and so is the result that grants it; fields that either may get one day are
// skipped. UNKNOWN_METHOD, or a close, says that the peer answers in order: one call at a time.
//
// From the grant on the caller sees to it that no two of its calls in flight have one sequence id.
const HelloMethod = "__thriftloom_hello"

// GoodbyeMethod is the name of the reply that nobody asked for, with which the peer says, on a connection with that grant, that it takes in
// no further call: the sequence id is that of the last one it has taken in. It answers those, then closes; calls after that one were not
// begun, and may be sent anew. It counts on sequence ids that grow.
const GoodbyeMethod = "__thriftloom_goodbye"
