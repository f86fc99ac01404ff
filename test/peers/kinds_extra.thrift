// Kinds as a newer client knows it: with a method that the servers do not have.
include "kinds.thrift"

service KindsExtra extends kinds.Kinds {
  string missing(1: string word),
}
