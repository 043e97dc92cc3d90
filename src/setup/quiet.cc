// TensorFlow logs through Abseil, also in the constructors of its libraries, before it reads environment variables. Linked
// into the addon with `-z initfirst`, this constructor runs before theirs and silences all but the message before an abort.
// Errors reach JavaScript as exceptions.
#include "absl/base/log_severity.h"
#include "absl/log/globals.h"

namespace {
const bool quiet = [] {
  absl::SetMinLogLevel(absl::LogSeverityAtLeast::kFatal);
  return true;
}();
}  // namespace
