// What commands that run a model have in common: their flags, opening the session, its records.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "report/record.h"
#include "run/session.h"

namespace checkbit {

/// --kv-cache TYPE, with what it is for.
Flag cache_flag(std::string_view help);
/// What --kv-cache asks for; none when it is absent.
std::optional<CacheType> cache_type_of(const Arguments& arguments);
/// `own`, followed by --context, --kv-cache, --no-repack, --lock-memory, --pin, --activations,
/// --guard and what belongs to it.
std::vector<Flag> with_engine_flags(std::vector<Flag> own);
/// One of `flags`, to be described anew. Precondition: it is there.
Flag& flag_named(std::vector<Flag>& flags, std::string_view name);
/// --context of a command that reads a text window by window.
void describe_windows(std::vector<Flag>& flags, std::string_view default_tokens);
/// --kv-cache of a command with a MODEL and a REFERENCE.
void describe_compared_cache(std::vector<Flag>& flags);
/// The session options of these flags and of --threads.
SessionOptions session_options(const Arguments& arguments, const Console& console);
/// Opens MODEL (a path or a pulled name) and notes what is slow or limited about the run.
Result<Session> open_session(const std::string& model, const SessionOptions& options,
                             Console& console);

/// Says that `run` and `chat` pass the prompt on as it is.
void note_missing_template(const Session& session, Console& console);
/// "smollm2-135m" for /a/b/smollm2-135m.gguf
std::string model_name(const std::string& path);

Record make_record(const Console& console, std::string name, double value, std::string unit);
/// peak_bytes, file_bytes and bits_per_weight of a session, and what its checks and its guard have
/// seen.
std::vector<Record> session_records(const Console& console, const Session& session);
/// "checked 211 products a token over 38 tokens: no alarm"; empty where nothing is checked.
std::string guard_summary(const Session& session);
double bits_per_weight(const ModelFile& file);

}  // namespace checkbit
