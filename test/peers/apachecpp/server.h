// The server of kinds.thrift.
#pragma once

#include <chrono>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <unistd.h>

#include "wires.h"

class Handler : public KindsIf {
  std::mutex lock;
  std::vector<string> words;

 public:
  using Nested = std::map<string, std::vector<std::set<int32_t>>>;
  using Shapes = std::map<int32_t, std::map<Color::type, Shape>>;

  void ping() override {}
  bool echoBool(const bool v) override { return v; }
  int8_t echoByte(const int8_t v) override { return v; }
  int16_t echoI16(const int16_t v) override { return v; }
  int32_t echoI32(const int32_t v) override { return v; }
  int64_t echoI64(const int64_t v) override { return v; }
  double echoDouble(const double v) override { return v; }
  void echoString(string& r, const string& v) override { r = v; }
  void echoBinary(string& r, const string& v) override { r = v; }
  Color::type echoColor(const Color::type v) override { return v; }
  void echoBases(Bases& r, const Bases& v) override { r = v; }
  void echoShape(Shape& r, const Shape& v) override { r = v; }
  void echoValue(Value& r, const Value& v) override { r = v; }
  void echoNested(Nested& r, const Nested& v) override { r = v; }
  void echoShapes(Shapes& r, const Shapes& v) override { r = v; }
  void big(string& r, const int32_t bytes) override { r.assign(bytes, 'x'); }
  int32_t pid() override { return getpid(); }
  void crash(string&, const string& reason) override { throw std::runtime_error(reason); }

  int32_t sleep(const int32_t millis) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(millis));
    return millis;
  }

  void refuse(string&, const string& reason, const int32_t code) override {
    Refused refused;
    refused.__set_reason(reason);
    refused.__set_code(code);
    throw refused;
  }

  void remember(const string& word, const int32_t millis) override {
    sleep(millis);
    std::lock_guard<std::mutex> held(lock);
    words.push_back(word);
  }

  void stumble(const string& word) override {
    remember(word, 0);
    throw std::runtime_error(word);
  }

  void remembered(std::vector<string>& r, const string& prefix) override {
    std::lock_guard<std::mutex> held(lock);
    for (const auto& w : words)
      if (w.compare(0, prefix.size(), prefix) == 0) r.push_back(w);
  }
};

// serve answers at p for ever.
inline void serve(const Place& p, shared_ptr<Handler> handler) {
  shared_ptr<TProcessor> processor = make_shared<KindsProcessor>(handler);
  if (p.multiplexed) {
    auto several = make_shared<TMultiplexedProcessor>();
    several->registerProcessor("Kinds", processor);
    processor = several;
  }
  auto socket = make_shared<TServerSocket>("127.0.0.1", p.port);
  server::TThreadedServer(processor, socket, transportFactory(p), protocolFactory(p)).serve();
}
