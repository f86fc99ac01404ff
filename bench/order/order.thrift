// The struct of about 10 KB that the rows "10 KB struct" carry.
namespace go order

struct Place { 1: string street, 2: string city, 3: string country, 4: i32 zip }
struct Customer { 1: i64 id, 2: string name, 3: string email, 4: Place address, 5: list<string> tags }
struct Item {
  1: i64 id, 2: string sku, 3: string name, 4: i32 quantity, 5: double price, 6: double tax, 7: bool gift,
  8: list<string> labels, 9: map<string, string> attributes, 10: list<i64> stock
}
struct Order {
  1: i64 id, 2: Customer customer, 3: list<Item> items, 4: map<string, double> totals, 5: i64 created, 6: optional string note,
  7: map<i64, i32> batches, 8: list<double> rates
}
struct Arguments { 1: Order order }
