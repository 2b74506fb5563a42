// Fetching models into the cache and finding them there.
//
// What: a source is a catalogue name (catalogue.def), an http(s) URL (a fragment #sha256=HEX states
//   what to expect) or hf:OWNER/REPO/FILE. The model ends as models/NAME.gguf in the cache folder:
//   $CHECKBIT_HOME, else $XDG_CACHE_HOME/checkbit, else ~/.cache/checkbit.
// Guarantees: a file under its final name is whole, has the expected SHA-256 where one is known,
// and
//   parses as GGUF. What an interrupted pull leaves (NAME.gguf.part) is taken up by the next one.
//   Nothing that is fetched is executed.
// Errors: invalid (a source that is none of these), not_found (unknown name, 404), io (network,
// disk,
//   pip), corrupt (wrong SHA-256, not GGUF), budget (not enough disk space).
// Threads: any; two pulls of one model at a time: the second is refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace checkbit {

struct PullRequest {
  std::string source;            ///< catalogue name, URL or hf:OWNER/REPO/FILE
  int attempts = 6;              ///< in a row without a new byte, before giving up
  double backoff_seconds = 0.5;  ///< doubles with each attempt without a new byte
  int stall_seconds = 30;        ///< without data, before an attempt is given up
};

struct PulledModel {
  std::string name;  ///< what resolve_model takes
  std::string path;
  std::string sha256;  ///< of the file
  std::uint64_t size_bytes = 0;
  bool already_present = false;  ///< nothing was downloaded
};

/// Reports through base/progress.h and stops at cancel_requested(), resumable.
Result<PulledModel> pull(const PullRequest& request);

/// A model the cache holds.
struct CachedModel {
  std::string name;
  std::string path;
  std::uint64_t size_bytes = 0;
};

/// The folder that holds models, present or not. Errors: not_found when no home folder is known.
Result<std::string> models_folder();
/// By name; empty when the folder is missing.
std::vector<CachedModel> cached_models();
/// A path when the argument contains '/' or ends in .gguf, else the path of a pulled model, else a
/// file of that name in the current folder unless the catalogue has the name. Errors:
/// not_found; the message lists the pulled names and the catalogue and says how to pull.
Result<std::string> resolve_model(std::string_view name_or_path);

}  // namespace checkbit
