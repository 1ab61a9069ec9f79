// SPDX-License-Identifier: Apache-2.0
// Streams, events, capture and graphs. Work runs when it is submitted, unless LACUNA_EMULATOR_ASYNC=1 asks for the opposite extreme: then
// it runs as late as the rules of CUDA allow, so that a program which forgets to wait sees what it forgot.
#include <algorithm>
#include <cstring>

#include "state.h"

using namespace lacuna::emulator;
using namespace lacuna::emulator::driver;

namespace lacuna::emulator::driver {

namespace {

thread_local int interaction = 0;  // cuThreadExchangeStreamCaptureMode

Status runFirst(Driver& driver, Stream& stream) {
  Work work = std::move(stream.queue.front());
  stream.queue.pop_front();
  Context& context = *stream.context;
  const Status result = work();
  if (result != SUCCESS) {
    // what was queued behind a failure never runs
    context.failure = result;
    for (const auto& [handle, other] : driver.streams.all()) {
      if (other->context == &context) other->queue.clear();
    }
    context.legacy->queue.clear();
  }
  return result;
}

/// The capture that forbids the calling thread to wait for the device, if any.
std::shared_ptr<Capture> forbidding(Driver& driver) {
  if (interaction == 2) return nullptr;
  for (const auto& capture : driver.captures) {
    const bool own = capture->thread == std::this_thread::get_id();
    if (capture->mode != 2 && own) return capture;
    if (capture->mode == 0 && interaction == 0) return capture;
  }
  return nullptr;
}

}  // namespace

std::shared_ptr<Stream> streamOf(Driver& driver, Context& context, Stream* handle) {
  if (reinterpret_cast<std::uintptr_t>(handle) <= 2) return context.legacy;
  std::shared_ptr<Stream> stream = driver.streams.find(handle);
  return stream != nullptr && stream->context == &context ? stream : nullptr;
}

Status drain(Driver& driver, const std::shared_ptr<Stream>& stream) {
  while (!stream->queue.empty()) {
    if (Status result = runFirst(driver, *stream); result != SUCCESS) return result;
  }
  return stream->context->failure;
}

Status drainContext(Driver& driver, Context& context) {
  std::vector<std::shared_ptr<Stream>> waiting{context.legacy};
  for (const auto& [handle, stream] : driver.streams.all()) {
    if (stream->context == &context) waiting.push_back(stream);
  }
  for (const auto& stream : waiting) {
    if (Status result = drain(driver, stream); result != SUCCESS) return result;
  }
  return context.failure;
}

Status refuseWhileCapturing(Driver& driver, const char* call) {
  const std::shared_ptr<Capture> capture = forbidding(driver);
  if (capture == nullptr) return SUCCESS;
  capture->invalid = true;
  return fail(STREAM_CAPTURE_UNSUPPORTED, std::string(call) + " while a stream is captured");
}

namespace {

/// The legacy stream waits for every blocking stream, and they for it: none of them may be in a capture.
Status legacyTurn(Driver& driver, Context& context) {
  std::vector<std::shared_ptr<Stream>> blocking;
  for (const auto& [handle, stream] : driver.streams.all()) {
    if (stream->context == &context && stream->blocking()) blocking.push_back(stream);
  }
  for (const auto& stream : blocking) {
    if (stream->capture != nullptr) {
      stream->capture->invalid = true;
      return fail(STREAM_CAPTURE_IMPLICIT, "work in the legacy stream while a stream that it waits for is captured");
    }
  }
  for (const auto& stream : blocking) {
    if (Status result = drain(driver, stream); result != SUCCESS) return result;
  }
  return SUCCESS;
}

}  // namespace

Status runNow(Driver& driver, Context& context, const Work& work) {
  if (Status result = legacyTurn(driver, context); result != SUCCESS) return result;
  if (Status result = refuseWhileCapturing(driver, "a call that waits for the device"); result != SUCCESS) return result;
  if (Status result = drain(driver, context.legacy); result != SUCCESS) return result;
  return work();
}

Status submit(Driver& driver, const std::shared_ptr<Stream>& stream, NodeType type, Work work) {
  if (stream->capture != nullptr) {
    Capture& capture = *stream->capture;
    if (capture.invalid) return STREAM_CAPTURE_INVALIDATED;
    capture.graph->nodes.push_back(std::make_shared<Node>(Node{type, std::move(work)}));
    capture.members[stream.get()][stream.get()] = ++capture.counts[stream.get()];
    return SUCCESS;
  }
  Context& context = *stream->context;
  if (stream == context.legacy) {
    if (Status result = legacyTurn(driver, context); result != SUCCESS) return result;
  } else if (stream->blocking()) {
    if (Status result = drain(driver, context.legacy); result != SUCCESS) return result;
  }
  stream->queue.push_back(std::move(work));
  return driver.deferred ? SUCCESS : drain(driver, stream);
}

namespace {

Status inStream(Stream* handle, const std::function<Status(Driver&, Context&, const std::shared_ptr<Stream>&)>& body) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    const std::shared_ptr<Stream> stream = streamOf(driver, context, handle);
    if (stream == nullptr) return fail(INVALID_HANDLE, "no such stream in the current context");
    return body(driver, context, stream);
  });
}

Status onEvent(Event* handle, const std::function<Status(Driver&, Context&, Event&)>& body) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    const std::shared_ptr<Event> event = driver.events.find(handle);
    if (event == nullptr) return fail(INVALID_HANDLE, "no such event");
    return body(driver, context, *event);
  });
}

/// Runs streams until the recording is done.
Status reach(Driver& driver, const Recording& recording) {
  while (!recording.done) {
    const std::shared_ptr<Stream> stream = recording.stream.lock();
    if (stream == nullptr || stream->queue.empty()) return SUCCESS;
    if (Status result = runFirst(driver, *stream); result != SUCCESS) return result;
  }
  return SUCCESS;
}

}  // namespace

}  // namespace lacuna::emulator::driver

// ---- streams

DRIVER_API cuStreamCreateWithPriority(Stream** handle, unsigned flags, int priority) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (handle == nullptr || flags > 1) return INVALID_VALUE;
    auto stream = std::make_shared<Stream>();
    stream->context = &context;
    stream->flags = flags;
    stream->priority = std::max(-5, std::min(0, priority));
    stream->id = ++driver.nextId;
    *handle = driver.streams.add(stream);
    return SUCCESS;
  });
}

DRIVER_API cuStreamCreate(Stream** handle, unsigned flags) { return cuStreamCreateWithPriority(handle, flags, 0); }

DRIVER_API cuStreamDestroy_v2(Stream* handle) {
  return inContext([&](Driver& driver, Context&) -> Status {
    const std::shared_ptr<Stream> stream = driver.streams.find(handle);
    if (stream == nullptr) return fail(INVALID_HANDLE, "cuStreamDestroy of what is no stream");
    if (stream->capture != nullptr) {
      stream->capture->invalid = true;
      return fail(STREAM_CAPTURE_UNSUPPORTED, "cuStreamDestroy of a stream that is captured");
    }
    const Status result = drain(driver, stream);
    driver.streams.remove(handle);
    return result;
  });
}

DRIVER_API cuStreamSynchronize(Stream* handle) {
  return inStream(handle, [&](Driver& driver, Context& context, const std::shared_ptr<Stream>& stream) -> Status {
    if (stream->capture != nullptr) {
      stream->capture->invalid = true;
      return fail(STREAM_CAPTURE_UNSUPPORTED, "cuStreamSynchronize of a stream that is captured");
    }
    if (stream == context.legacy) {
      if (Status result = legacyTurn(driver, context); result != SUCCESS) return result;
    }
    if (Status result = refuseWhileCapturing(driver, "cuStreamSynchronize"); result != SUCCESS) return result;
    return drain(driver, stream);
  });
}

DRIVER_API cuStreamQuery(Stream* handle) {
  return inStream(handle, [&](Driver& driver, Context&, const std::shared_ptr<Stream>& stream) -> Status {
    if (stream->capture != nullptr) {
      stream->capture->invalid = true;
      return fail(STREAM_CAPTURE_UNSUPPORTED, "cuStreamQuery of a stream that is captured");
    }
    if (stream->queue.empty()) return SUCCESS;
    // each question brings the answer nearer
    if (Status result = runFirst(driver, *stream); result != SUCCESS) return result;
    return NOT_READY;
  });
}

DRIVER_API cuStreamGetPriority(Stream* handle, int* priority) {
  return inStream(handle, [&](Driver&, Context&, const std::shared_ptr<Stream>& stream) -> Status {
    if (priority == nullptr) return INVALID_VALUE;
    *priority = stream->priority;
    return SUCCESS;
  });
}

DRIVER_API cuStreamGetFlags(Stream* handle, unsigned* flags) {
  return inStream(handle, [&](Driver&, Context&, const std::shared_ptr<Stream>& stream) -> Status {
    if (flags == nullptr) return INVALID_VALUE;
    *flags = stream->flags;
    return SUCCESS;
  });
}

DRIVER_API cuStreamGetId(Stream* handle, unsigned long long* id) {
  return inStream(handle, [&](Driver&, Context&, const std::shared_ptr<Stream>& stream) -> Status {
    if (id == nullptr) return INVALID_VALUE;
    *id = stream->id;
    return SUCCESS;
  });
}

DRIVER_API cuStreamGetCtx(Stream* handle, Context** context) {
  return inStream(handle, [&](Driver&, Context&, const std::shared_ptr<Stream>& stream) -> Status {
    if (context == nullptr) return INVALID_VALUE;
    *context = stream->context;
    return SUCCESS;
  });
}

DRIVER_API cuLaunchHostFunc(Stream* handle, void (*function)(void*), void* argument) {
  return inStream(handle, [&](Driver& driver, Context&, const std::shared_ptr<Stream>& stream) -> Status {
    if (function == nullptr) return INVALID_VALUE;
    return submit(driver, stream, HOST_NODE, [=]() -> Status {
      function(argument);
      return SUCCESS;
    });
  });
}

DRIVER_API cuStreamAddCallback(Stream* handle, void (*function)(Stream*, int, void*), void* argument, unsigned flags) {
  return inStream(handle, [&](Driver& driver, Context&, const std::shared_ptr<Stream>& stream) -> Status {
    if (function == nullptr || flags != 0) return INVALID_VALUE;
    if (stream->capture != nullptr) {
      stream->capture->invalid = true;
      return fail(STREAM_CAPTURE_UNSUPPORTED, "cuStreamAddCallback in a stream that is captured");
    }
    return submit(driver, stream, HOST_NODE, [=]() -> Status {
      function(handle, SUCCESS, argument);
      return SUCCESS;
    });
  });
}

// ---- events

DRIVER_API cuEventCreate(Event** handle, unsigned flags) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (handle == nullptr || flags > 7) return INVALID_VALUE;
    auto event = std::make_shared<Event>();
    event->context = &context;
    event->flags = flags;
    *handle = driver.events.add(event);
    return SUCCESS;
  });
}

DRIVER_API cuEventDestroy_v2(Event* handle) {
  return inContext([&](Driver& driver, Context&) -> Status {
    return driver.events.remove(handle) ? SUCCESS : fail(INVALID_HANDLE, "cuEventDestroy of what is no event");
  });
}

DRIVER_API cuEventRecordWithFlags(Event* handle, Stream* streamHandle, unsigned flags) {
  return onEvent(handle, [&](Driver& driver, Context& context, Event& event) -> Status {
    const std::shared_ptr<Stream> stream = streamOf(driver, context, streamHandle);
    if (stream == nullptr || event.context != &context) return fail(INVALID_HANDLE, "an event and a stream of different contexts, or no stream");
    if (flags > 1) return INVALID_VALUE;
    auto recording = std::make_shared<Recording>();
    recording->stream = stream;
    if (stream->capture != nullptr && flags == 0) {
      if (stream->capture->invalid) return STREAM_CAPTURE_INVALIDATED;
      recording->capture = stream->capture;
      recording->clock = stream->capture->members[stream.get()];
      event.recording = recording;
      return SUCCESS;
    }
    if (stream->capture == nullptr) event.recording = recording;
    // an external record in a graph marks the event each time the graph runs
    const std::weak_ptr<Event> weak = driver.events.find(handle);
    const bool external = stream->capture != nullptr;
    return submit(driver, stream, EVENT_NODE, [=]() -> Status {
      recording->done = true;
      recording->time = std::chrono::steady_clock::now();
      if (auto alive = weak.lock(); external && alive != nullptr) alive->recording = std::make_shared<Recording>(*recording);
      return SUCCESS;
    });
  });
}

DRIVER_API cuEventRecord(Event* handle, Stream* stream) { return cuEventRecordWithFlags(handle, stream, 0); }

DRIVER_API cuEventQuery(Event* handle) {
  return onEvent(handle, [&](Driver& driver, Context&, Event& event) -> Status {
    if (event.recording == nullptr) return SUCCESS;
    if (event.recording->capture != nullptr) return fail(CAPTURED_EVENT, "cuEventQuery of an event that was recorded in a capture");
    if (Status result = refuseWhileCapturing(driver, "cuEventQuery"); result != SUCCESS) return result;
    if (event.recording->done) return SUCCESS;
    const std::shared_ptr<Stream> stream = event.recording->stream.lock();
    if (stream != nullptr && !stream->queue.empty()) {
      if (Status result = runFirst(driver, *stream); result != SUCCESS) return result;
    }
    return NOT_READY;
  });
}

DRIVER_API cuEventSynchronize(Event* handle) {
  return onEvent(handle, [&](Driver& driver, Context& context, Event& event) -> Status {
    if (event.recording == nullptr) return SUCCESS;
    if (event.recording->capture != nullptr) return fail(CAPTURED_EVENT, "cuEventSynchronize of an event that was recorded in a capture");
    if (Status result = refuseWhileCapturing(driver, "cuEventSynchronize"); result != SUCCESS) return result;
    if (Status result = reach(driver, *event.recording); result != SUCCESS) return result;
    return context.failure;
  });
}

DRIVER_API cuEventElapsedTime(float* milliseconds, Event* from, Event* to) {
  return inContext([&](Driver& driver, Context&) -> Status {
    const std::shared_ptr<Event> first = driver.events.find(from), second = driver.events.find(to);
    if (milliseconds == nullptr) return INVALID_VALUE;
    if (first == nullptr || second == nullptr) return fail(INVALID_HANDLE, "cuEventElapsedTime of what is no event");
    if ((first->flags & 2) != 0 || (second->flags & 2) != 0) return fail(INVALID_HANDLE, "cuEventElapsedTime of an event without timing");
    if (first->recording == nullptr || second->recording == nullptr) return fail(INVALID_HANDLE, "cuEventElapsedTime of an event never recorded");
    if (!first->recording->done || !second->recording->done) return NOT_READY;
    *milliseconds = std::chrono::duration<float, std::milli>(second->recording->time - first->recording->time).count();
    return SUCCESS;
  });
}

DRIVER_API cuStreamWaitEvent(Stream* streamHandle, Event* handle, unsigned) {
  return onEvent(handle, [&](Driver& driver, Context& context, Event& event) -> Status {
    const std::shared_ptr<Stream> stream = streamOf(driver, context, streamHandle);
    if (stream == nullptr) return fail(INVALID_HANDLE, "no such stream in the current context");
    const std::shared_ptr<Recording> recording = event.recording;
    if (recording == nullptr) return SUCCESS;
    if (recording->capture != nullptr) {
      const std::shared_ptr<Capture> capture = recording->capture;
      if (std::find(driver.captures.begin(), driver.captures.end(), capture) == driver.captures.end()) {
        return fail(STREAM_CAPTURE_ISOLATION, "cuStreamWaitEvent of an event whose capture has ended");
      }
      if (stream->capture != nullptr && stream->capture != capture) {
        stream->capture->invalid = capture->invalid = true;
        return fail(STREAM_CAPTURE_MERGE, "cuStreamWaitEvent would make one of two captures");
      }
      if (stream == context.legacy) {
        capture->invalid = true;
        return fail(STREAM_CAPTURE_IMPLICIT, "the legacy stream cannot join a capture");
      }
      stream->capture = capture;
      Clock& clock = capture->members[stream.get()];
      for (const auto& [member, count] : recording->clock) clock[member] = std::max(clock[member], count);
      return SUCCESS;
    }
    if (stream->capture != nullptr) {
      stream->capture->invalid = true;
      return fail(STREAM_CAPTURE_ISOLATION, "a captured stream waits for an event from outside of the capture");
    }
    return submit(driver, stream, EVENT_NODE, [&driver, recording]() -> Status { return reach(driver, *recording); });
  });
}

// ---- capture

DRIVER_API cuStreamBeginCapture_v2(Stream* handle, int mode) {
  return inStream(handle, [&](Driver& driver, Context& context, const std::shared_ptr<Stream>& stream) -> Status {
    if (mode < 0 || mode > 2) return INVALID_VALUE;
    if (stream == context.legacy) return fail(STREAM_CAPTURE_UNSUPPORTED, "the legacy stream cannot be captured");
    if (stream->capture != nullptr) return fail(ILLEGAL_STATE, "the stream is captured already");
    auto capture = std::make_shared<Capture>();
    capture->origin = stream.get();
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    capture->graph = std::make_shared<Graph>();
    capture->graph->context = &context;
    capture->members[stream.get()];
    stream->capture = capture;
    driver.captures.push_back(capture);
    return SUCCESS;
  });
}

DRIVER_API cuStreamEndCapture(Stream* handle, Graph** graph) {
  return inStream(handle, [&](Driver& driver, Context&, const std::shared_ptr<Stream>& stream) -> Status {
    if (graph == nullptr) return INVALID_VALUE;
    *graph = nullptr;
    const std::shared_ptr<Capture> capture = stream->capture;
    if (capture == nullptr) return fail(ILLEGAL_STATE, "cuStreamEndCapture of a stream that is not captured");
    if (capture->origin != stream.get()) {
      capture->invalid = true;
      return fail(STREAM_CAPTURE_UNMATCHED, "cuStreamEndCapture of a stream in which the capture did not begin");
    }
    if (capture->mode != 2 && capture->thread != std::this_thread::get_id()) {
      return fail(STREAM_CAPTURE_WRONG_THREAD, "cuStreamEndCapture in another thread than the capture began in");
    }
    bool joined = true;
    Clock& clock = capture->members[stream.get()];
    for (const auto& [member, count] : capture->counts) joined &= clock[member] >= count;
    for (const auto& [other, held] : driver.streams.all()) {
      if (held->capture == capture) held->capture = nullptr;
    }
    std::erase(driver.captures, capture);
    if (capture->invalid) return STREAM_CAPTURE_INVALIDATED;
    if (!joined) return fail(STREAM_CAPTURE_UNJOINED, "cuStreamEndCapture while another stream's work was not waited for");
    *graph = driver.graphs.add(capture->graph);
    return SUCCESS;
  });
}

DRIVER_API cuStreamIsCapturing(Stream* handle, int* status) {
  return inStream(handle, [&](Driver&, Context&, const std::shared_ptr<Stream>& stream) -> Status {
    if (status == nullptr) return INVALID_VALUE;
    *status = stream->capture == nullptr ? 0 : stream->capture->invalid ? 2 : 1;
    return SUCCESS;
  });
}

DRIVER_API cuThreadExchangeStreamCaptureMode(int* mode) {
  return withDriver([&](Driver&) -> Status {
    if (mode == nullptr || *mode < 0 || *mode > 2) return INVALID_VALUE;
    std::swap(*mode, interaction);
    return SUCCESS;
  });
}

// ---- graphs

DRIVER_API cuGraphCreate(Graph** handle, unsigned flags) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (handle == nullptr || flags != 0) return INVALID_VALUE;
    auto graph = std::make_shared<Graph>();
    graph->context = &context;
    *handle = driver.graphs.add(graph);
    return SUCCESS;
  });
}

DRIVER_API cuGraphClone(Graph** handle, Graph* original) {
  return inContext([&](Driver& driver, Context&) -> Status {
    const std::shared_ptr<Graph> graph = driver.graphs.find(original);
    if (handle == nullptr || graph == nullptr) return INVALID_VALUE;
    *handle = driver.graphs.add(std::make_shared<Graph>(*graph));
    return SUCCESS;
  });
}

DRIVER_API cuGraphDestroy(Graph* handle) {
  return inContext([&](Driver& driver, Context&) -> Status { return driver.graphs.remove(handle) ? SUCCESS : INVALID_VALUE; });
}

DRIVER_API cuGraphGetNodes(Graph* handle, Node** nodes, std::size_t* count) {
  return inContext([&](Driver& driver, Context&) -> Status {
    const std::shared_ptr<Graph> graph = driver.graphs.find(handle);
    if (graph == nullptr || count == nullptr) return INVALID_VALUE;
    if (nodes != nullptr) {
      for (std::size_t i = 0; i < *count; ++i) nodes[i] = i < graph->nodes.size() ? graph->nodes[i].get() : nullptr;
    }
    *count = nodes == nullptr ? graph->nodes.size() : std::min(*count, graph->nodes.size());
    return SUCCESS;
  });
}

DRIVER_API cuGraphNodeGetType(Node* handle, int* type) {
  return inContext([&](Driver& driver, Context&) -> Status {
    if (type == nullptr) return INVALID_VALUE;
    for (const auto& [at, graph] : driver.graphs.all()) {
      for (const auto& node : graph->nodes) {
        if (node.get() == handle) {
          *type = node->type;
          return SUCCESS;
        }
      }
    }
    return fail(INVALID_VALUE, "cuGraphNodeGetType of what is no node");
  });
}

DRIVER_API cuGraphInstantiateWithFlags(GraphExec** handle, Graph* graphHandle, unsigned long long flags) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    const std::shared_ptr<Graph> graph = driver.graphs.find(graphHandle);
    if (handle == nullptr || graph == nullptr || flags > 15) return INVALID_VALUE;
    auto exec = std::make_shared<GraphExec>();
    exec->context = &context;
    exec->nodes = graph->nodes;
    *handle = driver.execs.add(exec);
    return SUCCESS;
  });
}

DRIVER_API cuGraphUpload(GraphExec* handle, Stream* stream) {
  return inStream(stream, [&](Driver& driver, Context&, const std::shared_ptr<Stream>&) -> Status {
    return driver.execs.find(handle) == nullptr ? INVALID_VALUE : SUCCESS;
  });
}

DRIVER_API cuGraphLaunch(GraphExec* handle, Stream* streamHandle) {
  return inStream(streamHandle, [&](Driver& driver, Context&, const std::shared_ptr<Stream>& stream) -> Status {
    const std::shared_ptr<GraphExec> exec = driver.execs.find(handle);
    if (exec == nullptr) return fail(INVALID_VALUE, "cuGraphLaunch of what is no instantiated graph");
    return submit(driver, stream, GRAPH_NODE, [exec]() -> Status {
      for (const auto& node : exec->nodes) {
        if (Status result = node->work(); result != SUCCESS) return result;
      }
      return SUCCESS;
    });
  });
}

DRIVER_API cuGraphExecDestroy(GraphExec* handle) {
  return inContext([&](Driver& driver, Context&) -> Status { return driver.execs.remove(handle) ? SUCCESS : INVALID_VALUE; });
}
