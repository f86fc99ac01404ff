// The cases of client.py.
#pragma once

#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <sstream>
#include <thread>
#include <vector>

#include "wires.h"

struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check(bool condition, const string& text) {
  if (!condition) throw Failed(text);
}

template <class T>
string shown(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str().substr(0, 150);
}

template <class T>
void same(const T& got, const T& want) {
  check(got == want, "got " + shown(got) + ", want " + shown(want));
}

// quoted shows a text, of anything else only that it is one.
inline string quoted(const string& text) {
  string out;
  for (const char c : text.substr(0, 60)) out += c >= 0 && c < ' ' ? '?' : c;
  return "\"" + out + "\"";
}

template <class T>
string quoted(const T&) {
  return "a value";
}

// comes checks that values of a method that returns through its first parameter come back as they went.
template <class T>
void comes(KindsExtraClient& c, void (KindsClient::*echo)(T&, const T&), const std::vector<T>& values) {
  for (const auto& v : values) {
    T got;
    (c.*echo)(got, v);
    check(got == v, quoted(v) + " came back as another");
  }
}

template <class T>
void bare(KindsExtraClient& c, T (KindsClient::*echo)(const T), const std::vector<T>& values) {
  for (const auto& v : values) same((c.*echo)(v), v);
}

inline Point point(int32_t x, int32_t y) {
  Point p;
  p.__set_x(x);
  p.__set_y(y);
  return p;
}

inline Shape shape(const string& name, int corners) {
  Shape s;
  s.__set_name(name);
  s.__set_origin(point(1, -2));
  std::vector<Point> all;
  for (int n = 0; n < corners; n++) all.push_back(point(n, n * n));
  s.__set_corners(all);
  s.__set_color(Color::GREEN);
  s.__set_marks({{"top", point(0, 9)}, {"é", point(-1, 0)}});
  s.__set_closed(false);
  return s;
}

inline Bases bases(bool flag, int8_t tiny, int16_t small, int32_t medium, int64_t large, double real, const string& text, const string& raw) {
  Bases b;
  b.__set_flag(flag);
  b.__set_tiny(tiny);
  b.__set_small(small);
  b.__set_medium(medium);
  b.__set_large(large);
  b.__set_real(real);
  b.__set_text(text);
  b.__set_raw(raw);
  return b;
}

inline string newWord() {
  static thread_local std::random_device random;
  return "word-" + std::to_string(random()) + "-" + std::to_string(random());
}

// recorded waits until the server has recorded the word, once.
inline void recorded(const Place& p, const string& word) {
  Connection c(p);
  for (int turn = 0; turn < 500; turn++) {
    std::vector<string> words;
    c->remembered(words, word);
    check(words.size() <= 1, "recorded more than once");
    if (words.size() == 1) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  throw Failed("not recorded");
}

// fails checks that a call ends in a TApplicationException of that type.
inline void fails(TApplicationException::TApplicationExceptionType type, const std::function<void()>& call) {
  try {
    call();
  } catch (const TApplicationException& e) {
    check(e.getType() == type, "application exception of type " + std::to_string(e.getType()) + ": " + e.what());
    return;
  }
  throw Failed("no exception");
}

using Case = std::function<void(Connection&, const Place&)>;

inline std::vector<std::pair<string, Case>> cases() {
  using K = KindsClient;
  return {
      {"void", [](Connection& c, const Place&) { c->ping(); }},
      {"ascii", [](Connection& c, const Place&) {
         comes<string>(*c.client, &K::echoString, {"", "a", "plain text", string(4095, 'x'), string(4096, 'x'), string(4097, 'x')});
       }},
      {"utf8", [](Connection& c, const Place&) {
         comes<string>(*c.client, &K::echoString,
                       {"é", "naïve façade", "日本語", "👩‍🚀 𝒳", string("nul \0 within", 12), "line\nends\r\n"});
       }},
      {"big", [](Connection& c, const Place&) {
         string got, text;
         c->big(got, 500 * 1000);
         check(got == string(500 * 1000, 'x'), "big is another text");
         for (int n = 0; n < 50 * 1000; n++) text += "0123456789";
         comes<string>(*c.client, &K::echoString, {text});
         c->ping();
       }},
      {"binary", [](Connection& c, const Place&) {
         string every;
         for (int n = 0; n < 256; n++) every += static_cast<char>(n);
         comes<string>(*c.client, &K::echoBinary, {"", string(1, '\0'), "plain", every, string("\x80\x01\x00\x01", 4), string(70000, '\xff')});
       }},
      {"bases", [](Connection& c, const Place&) {
         using std::numeric_limits;
         bare<bool>(*c.client, &K::echoBool, {true, false});
         bare<int8_t>(*c.client, &K::echoByte, {INT8_MIN, -1, 0, 1, INT8_MAX});
         bare<int16_t>(*c.client, &K::echoI16, {INT16_MIN, -1, 0, 1, INT16_MAX});
         bare<int32_t>(*c.client, &K::echoI32, {INT32_MIN, -1, 0, 1, INT32_MAX});
         bare<int64_t>(*c.client, &K::echoI64, {INT64_MIN, -1, 0, 1, INT64_MAX});
         bare<double>(*c.client, &K::echoDouble,
                      {0, 1.5, -1e-300, numeric_limits<double>::max(), numeric_limits<double>::min(), 5e-324, INFINITY, -INFINITY});
         bare<Color::type>(*c.client, &K::echoColor, {Color::RED, Color::BLUE, static_cast<Color::type>(77)});
         check(std::isnan(c->echoDouble(NAN)), "NaN did not come back");
         check(std::signbit(c->echoDouble(-0.0)), "-0.0 came back as 0.0");
       }},
      {"all_bases", [](Connection& c, const Place&) {
         Bases some;
         some.__set_medium(1);
         comes<Bases>(*c.client, &K::echoBases,
                      {bases(false, INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN, -0.5, "", "\xfe\xff"),
                       bases(true, INT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX, 1e300, "é", string("\x00\xff", 2)), some});
       }},
      {"nested_struct", [](Connection& c, const Place&) {
         Shape labelled = shape("n", 1), bare;
         labelled.__set_label("here");
         bare.__set_name("bare");
         comes<Shape>(*c.client, &K::echoShape, {shape("n", 0), shape("n", 3), shape("n", 5000), labelled, bare});
       }},
      {"containers", [](Connection& c, const Place&) {
         using Nested = std::map<string, std::vector<std::set<int32_t>>>;
         using Shapes = std::map<int32_t, std::map<Color::type, Shape>>;
         comes<Nested>(*c.client, &K::echoNested, {{{"", {}}, {"one", {{1}}}, {"more", {{}, {-1, 2, INT32_MAX}, {5}}}}, {}});
         comes<Shapes>(*c.client, &K::echoShapes, {{{-7, {{Color::RED, shape("a", 2)}, {Color::BLUE, shape("b", 0)}}}, {0, {}}}});
       }},
      {"union", [](Connection& c, const Place&) {
         Value number, text, at;
         number.__set_number(int64_t(1) << 40);
         text.__set_text("é");
         at.__set_point(point(3, 4));
         comes<Value>(*c.client, &K::echoValue, {number, text, at});
       }},
      {"declared_exception", [](Connection& c, const Place&) {
         string got;
         try {
           c->refuse(got, "not today — é", -3);
           throw Failed("not refused");
         } catch (const Refused& refused) {
           check(refused.reason == "not today — é" && refused.code == -3, "another exception");
         }
         c->ping();
       }},
      {"undeclared_exception", [](Connection& c, const Place& p) {
         string got;
         c->ping();
         fails(TApplicationException::INTERNAL_ERROR, [&] { c->crash(got, "on purpose"); });
         comes<string>(*c.client, &K::echoString, {"still here"});
         Connection(p)->ping();
       }},
      {"unknown_method", [](Connection& c, const Place&) {
         string got;
         fails(TApplicationException::UNKNOWN_METHOD, [&] { c->missing(got, "word"); });
         comes<string>(*c.client, &K::echoString, {"still here"});
       }},
      {"oneway", [](Connection& c, const Place& p) {
         for (int turn = 0; turn < 3; turn++) {  // a machine may stand still for as long as the handler takes; not three times
           const auto word = newWord();
           const auto start = std::chrono::steady_clock::now();
           c->remember(word, 1000);
           const auto waited = std::chrono::steady_clock::now() - start;
           comes<string>(*c.client, &K::echoString, {word});
           bare<int32_t>(*c.client, &K::echoI32, {4711});
           recorded(p, word);
           if (waited < std::chrono::milliseconds(900)) return;
         }
         check(false, "the oneway waited for its handler");
       }},
      {"oneway_that_raises", [](Connection& c, const Place& p) {
         const auto word = newWord();
         c->stumble(word);
         comes<string>(*c.client, &K::echoString, {"still here"});
         recorded(p, word);
       }},
      {"slow", [](Connection& c, const Place&) { bare<int32_t>(*c.client, &K::sleep, {200}); }},
      {"concurrent_clients", [](Connection&, const Place& p) {
         std::vector<std::thread> threads;
         std::vector<string> failures(100);
         for (int n = 0; n < 100; n++)
           threads.emplace_back([&, n] {
             try {
               Connection c(p);
               for (int turn = 0; turn < 2; turn++) {
                 comes<string>(*c.client, &K::echoString, {"client " + std::to_string(n) + ", call " + std::to_string(turn)});
                 bare<int32_t>(*c.client, &K::echoI32, {n * 1000 + turn});
               }
             } catch (const std::exception& e) {
               failures[n] = string("failed: ") + e.what();
             }
           });
         for (auto& t : threads) t.join();
         for (const auto& f : failures) check(f.empty(), f);
       }},
  };
}
