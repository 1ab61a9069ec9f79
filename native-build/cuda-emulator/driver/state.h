// SPDX-License-Identifier: Apache-2.0
// What the driver remembers: one device, its contexts, and everything that handles stand for.
#pragma once

#include <chrono>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "../machine.h"
#include "api.h"

namespace lacuna::emulator::driver {

/// Objects by handle: a handle that stands for nothing is found out, not followed.
template <typename T>
class Registry {
 public:
  T* add(std::shared_ptr<T> object) {
    T* handle = object.get();
    objects_[handle] = std::move(object);
    return handle;
  }
  std::shared_ptr<T> find(T* handle) const {
    auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second;
  }
  bool remove(T* handle) { return objects_.erase(handle) != 0; }
  void removeOf(const Context* context) {
    std::erase_if(objects_, [&](const auto& entry) { return entry.second->context == context; });
  }
  const std::unordered_map<T*, std::shared_ptr<T>>& all() const { return objects_; }

 private:
  std::unordered_map<T*, std::shared_ptr<T>> objects_;
};

/// Work of a stream: what runs when its turn comes.
using Work = std::function<Status()>;

enum NodeType : int { KERNEL_NODE = 0, MEMCPY_NODE = 1, MEMSET_NODE = 2, HOST_NODE = 3, GRAPH_NODE = 4, EVENT_NODE = 7 };

struct Node {
  NodeType type;
  Work work;
};

/// Nodes in an order in which they may run: the one in which they were captured.
struct Graph {
  Context* context = nullptr;
  std::vector<std::shared_ptr<Node>> nodes;
};

struct GraphExec {
  Context* context = nullptr;
  std::vector<std::shared_ptr<Node>> nodes;
};

/// For each stream of a capture, how many of its nodes come before.
using Clock = std::map<Stream*, std::size_t>;

struct Capture {
  Stream* origin = nullptr;
  int mode = 0;
  std::thread::id thread;
  bool invalid = false;
  std::shared_ptr<Graph> graph;
  std::map<Stream*, Clock> members;
  std::map<Stream*, std::size_t> counts;
};

struct Stream {
  Context* context = nullptr;
  unsigned flags = 0;
  int priority = 0;
  std::uint64_t id = 0;
  std::deque<Work> queue;  ///< empty unless work is deferred
  std::shared_ptr<Capture> capture;
  bool blocking() const { return (flags & 1) == 0; }
};

/// One recording of an event.
struct Recording {
  bool done = false;
  std::chrono::steady_clock::time_point time;
  std::weak_ptr<Stream> stream;
  std::shared_ptr<Capture> capture;  ///< recorded into a graph
  Clock clock;
};

struct Event {
  Context* context = nullptr;
  unsigned flags = 0;
  std::shared_ptr<Recording> recording;
};

struct LoadedModule {
  Context* context = nullptr;
  std::unique_ptr<Module> module;
  std::vector<std::shared_ptr<Kernel>> kernels;
};

struct Kernel {
  Context* context = nullptr;
  LoadedModule* module = nullptr;
  const Function* function = nullptr;
  std::size_t dynamicShared = 0;  ///< most that a launch may ask for
  int carveout = -1;
};

/// Memory that a context owns. Host memory is its own or only registered.
struct Block {
  Context* context = nullptr;
  std::size_t bytes = 0;
  enum Kind { ON_DEVICE, ON_HOST, REGISTERED } kind = ON_DEVICE;
  unsigned flags = 0;
};

struct Context {
  unsigned flags = 0;
  std::uint64_t id = 0;
  bool primary = false;
  Status failure = SUCCESS;  ///< sticky: every later call answers with it
  std::shared_ptr<Stream> legacy;
  std::size_t limits[7] = {1024, 1 << 20, 8 << 20, 2, 2048, 64, 0};
  int cacheConfig = 0, sharedConfig = 0;
};

/// What compute capability decides.
struct Chip {
  int major, minor;
  int multiprocessors;
  int threadsPerMultiprocessor, blocksPerMultiprocessor;
  std::size_t sharedPerMultiprocessor, sharedOptIn;
  int l2Bytes, clockKilohertz, memoryKilohertz, busBits;
};

class Driver {
 public:
  /// The one driver of the process. It is never destroyed: threads of the program may outlive static objects.
  static Driver& get();

  bool initialised = false;
  Chip chip;
  int version;       ///< as cuDriverGetVersion gives it: 13000 for 13.0
  bool deferred;     ///< LACUNA_EMULATOR_ASYNC=1: streams run when something waits for them
  Memory memory;
  Options options;
  std::recursive_mutex lock;

  Registry<Stream> streams;
  Registry<Event> events;
  Registry<LoadedModule> modules;
  Registry<Kernel> kernels;
  Registry<Graph> graphs;
  Registry<GraphExec> execs;
  std::unordered_map<Context*, std::shared_ptr<Context>> contexts;
  std::map<Address, Block> blocks;
  std::vector<std::shared_ptr<Capture>> captures;

  std::shared_ptr<Context> primary;
  unsigned primaryUsers = 0;
  unsigned primaryFlags = 0;
  std::uint64_t nextId = 1;

  std::shared_ptr<Context> createContext(unsigned flags);
  /// Ends a context with all that belongs to it.
  void destroyContext(const std::shared_ptr<Context>& context);

  /// Keeps for lacunaEmulatorLastError what went wrong, and says it on standard error.
  void report(const std::string& text, bool aloud = true);
  std::string lastError() const { return lastError_; }
  void count(const std::string& json);
  std::string takeCounts();
  std::string peekCounts() const;

 private:
  Driver();
  std::string lastError_;
  std::deque<std::string> counts_;
  std::FILE* countsFile_ = nullptr;
};

/// Reports and returns the error.
Status fail(Status error, const std::string& text);
/// The same, and every later call in the context answers with the error.
Status failContext(Context& context, Status error, const std::string& text);

/// The calling thread's stack of contexts, its top last; entries of destroyed contexts stay until they are popped.
std::vector<std::shared_ptr<Context>>& contextStack();

/// Runs an API call's body under the driver's lock, once cuInit has been called.
Status withDriver(const std::function<Status(Driver&)>& body);
/// The same with the thread's current context, unless it has failed.
Status inContext(const std::function<Status(Driver&, Context&)>& body);

// ---- streams
/// The stream of a handle: null and 1 are the legacy stream, 2 the thread's own, which is the same here. Null when there is none.
std::shared_ptr<Stream> streamOf(Driver& driver, Context& context, Stream* handle);
/// Hands work to a stream: captured, deferred or run.
Status submit(Driver& driver, const std::shared_ptr<Stream>& stream, NodeType type, Work work);
/// Runs what waits in a stream, with what must come before it.
Status drain(Driver& driver, const std::shared_ptr<Stream>& stream);
Status drainContext(Driver& driver, Context& context);
/// Runs work now, after all that the legacy stream would wait for. Refused while streams that it would wait for are captured.
Status runNow(Driver& driver, Context& context, const Work& work);
/// Success unless a capture is under way that forbids calls that may wait for the device.
Status refuseWhileCapturing(Driver& driver, const char* call);

}  // namespace lacuna::emulator::driver
