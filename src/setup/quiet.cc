// TensorFlow logs through Abseil, and does so already in the constructors of its libraries, where no environment variable
// stops it. Linked into the addon with `-z initfirst`, this constructor runs before theirs and lets nothing pass but the
// last words before an abort. What matters reaches JavaScript as an exception.
#include "absl/base/log_severity.h"
#include "absl/log/globals.h"

namespace {
const bool quiet = [] {
  absl::SetMinLogLevel(absl::LogSeverityAtLeast::kFatal);
  return true;
}();
}  // namespace
