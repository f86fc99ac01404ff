// A server and a client of kinds.thrift made with Apache's own C++ library, the code out of Debian's thrift-compiler.
//
//   apachecpp serve WIRE=PORT…
//   apachecpp call WIRE=HOST:PORT…
//
// A wire is TRANSPORT-PROTOCOL[-multiplexed]. The server prints "ready" once it listens everywhere. The client prints a line for each wire
// and case: "ok WIRE CASE" or "FAIL WIRE CASE: why". The folder gen-cpp is made beside these files when the tests build them.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <mutex>

#include "cases.h"
#include "server.h"

constexpr unsigned atOnce = 12;  // wires that the client tries at the same time

static void report(const string& line) {
  static std::mutex lock;
  std::lock_guard<std::mutex> held(lock);
  std::cout << line << std::endl;
}

static void callAll(const Place& p) {
  for (const auto& one : cases()) {
    try {
      Connection c(p);
      one.second(c, p);
      report("ok " + p.name + " " + one.first);
    } catch (const std::exception& e) {
      string why = e.what();
      std::replace(why.begin(), why.end(), '\n', ' ');
      report("FAIL " + p.name + " " + one.first + ": " + why);
    }
  }
}

static void call(const std::vector<Place>& places) {
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < atOnce; n++)
    threads.emplace_back([&] {
      for (size_t i; (i = next++) < places.size();) callAll(places[i]);
    });
  for (auto& t : threads) t.join();
}

static void serveAll(const std::vector<Place>& places) {
  auto handler = make_shared<Handler>();
  std::vector<std::thread> threads;
  for (const auto& p : places) threads.emplace_back([&p, handler] { serve(p, handler); });
  for (const auto& p : places)
    for (bool listening = false; !listening;) {
      try {
        TSocket probe("127.0.0.1", p.port);
        probe.open();
        listening = true;
      } catch (const TTransportException&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    }
  report("ready");
  for (auto& t : threads) t.join();
}

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  GlobalOutput.setOutputFunction([](const char*) {});  // it logs each crash that a case asks for
  std::vector<Place> places;
  for (int i = 2; i < argc; i++) places.emplace_back(argv[i]);
  const string job = argc > 2 ? argv[1] : "";
  if (job == "serve") serveAll(places);
  else if (job == "call") call(places);
  else return 2;
}
