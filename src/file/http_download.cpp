#include "file/http_download.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/progress.h"
#include "file/sha256.h"

namespace checkbit {
namespace {

/// What one response said; reset at each status line, so that redirects leave nothing behind.
struct Response {
  std::string etag;
  std::string last_modified;
  std::string content_range;
  std::optional<std::uint64_t> content_length;
};

std::optional<std::uint64_t> to_number(std::string_view digits) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// "bytes 100-199/1000" or "bytes */1000".
struct ContentRange {
  std::optional<std::uint64_t> start;
  std::optional<std::uint64_t> total;
};

ContentRange parse_content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return {};
  text.remove_prefix(6);
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {};
  return {to_number(text.substr(0, text.find('-'))), to_number(text.substr(slash + 1))};
}

/// May be retried: the next attempt can end differently.
bool is_passing(CURLcode code, long status) {
  switch (code) {
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return true;
    case CURLE_HTTP_RETURNED_ERROR:
      return status == 408 || status == 429 || status >= 500;
    default:
      return false;
  }
}

bool is_unreachable(CURLcode code) {
  return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
         code == CURLE_COULDNT_RESOLVE_PROXY;
}

class Download {
 public:
  Download(HttpSource& source, const PullRequest& options, const std::string& label,
           PartialFile& part)
      : source_(source), options_(options), label_(label), part_(part) {
    static std::once_flag initialized;
    std::call_once(initialized, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    curl_.reset(curl_easy_init());
    CB_CHECK(curl_ != nullptr);
  }

  Status run();

 private:
  enum class Outcome { done, again };

  Result<Outcome> attempt();
  Result<Outcome> judge(CURLcode code);
  Error permanent(CURLcode code, long status) const;
  void set_options();
  Status begin_body();
  Status accept(std::span<const std::uint8_t> bytes);
  void read_header(std::string_view line);
  Status wait(double seconds) const;

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self);
  static int on_tick(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t);

  struct CurlCloser {
    void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  };
  struct ListCloser {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };

  HttpSource& source_;
  const PullRequest& options_;
  std::string label_;
  PartialFile& part_;
  std::unique_ptr<CURL, CurlCloser> curl_;
  std::unique_ptr<curl_slist, ListCloser> headers_;
  std::unique_ptr<Progress> progress_;
  char curl_message_[CURL_ERROR_SIZE] = {};

  // Of the current attempt:
  Response response_;
  bool body_begun_ = false;
  bool restart_ = false;  ///< what we have is not a prefix of what the server has
  Status body_status_;    ///< why on_body refused
  std::optional<std::uint64_t> total_bytes_;
  std::uint64_t limit_bytes_ = 0;  ///< what fits on the disk
  std::string reason_;             ///< why the last attempt ended
  bool received_any_ = false;      ///< in this run
};

void Download::set_options() {
  CURL* const curl = curl_.get();
  curl_easy_reset(curl);
  const auto set = [&](CURLoption option, auto value) {
    CB_CHECK(curl_easy_setopt(curl, option, value) == CURLE_OK);
  };
  const bool secure = source_.url.starts_with("https:");
  set(CURLOPT_URL, source_.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  set(CURLOPT_FOLLOWLOCATION, 1L);
  set(CURLOPT_MAXREDIRS, 10L);
  set(CURLOPT_FAILONERROR, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT, 20L);
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall_seconds));
  set(CURLOPT_USERAGENT, "checkbit");
  set(CURLOPT_ERRORBUFFER, curl_message_);
  set(CURLOPT_HEADERFUNCTION, &Download::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &Download::on_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_XFERINFOFUNCTION, &Download::on_tick);
  set(CURLOPT_XFERINFODATA, this);
  set(CURLOPT_NOPROGRESS, 0L);
  headers_.reset();
  if (part_.size_bytes() == 0) return;
  const std::string range = fmt::format("Range: bytes={}-", part_.size_bytes());
  headers_.reset(curl_slist_append(headers_.release(), range.c_str()));
  if (!part_.state().validator.empty()) {
    const std::string condition = "If-Range: " + part_.state().validator;
    headers_.reset(curl_slist_append(headers_.release(), condition.c_str()));
  }
  set(CURLOPT_HTTPHEADER, headers_.get());
}

void Download::read_header(std::string_view line) {
  if (line.starts_with("HTTP/")) {
    response_ = {};
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (name == "etag") response_.etag = value;
  if (name == "last-modified") response_.last_modified = value;
  if (name == "content-range") response_.content_range = value;
  if (name == "content-length") response_.content_length = to_number(value);
  if (name == "x-linked-etag" && source_.linked_etag && value.size() == 66 &&
      is_sha256(value.substr(1, 64)) && source_.expected_sha256.empty()) {
    source_.expected_sha256 = value.substr(1, 64);
    std::ranges::transform(source_.expected_sha256, source_.expected_sha256.begin(),
                           [](unsigned char c) { return std::tolower(c); });
  }
}

/// Once per attempt, when the final response's headers are known.
Status Download::begin_body() {
  body_begun_ = true;
  long status = 0;
  curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status != 200 && status != 206) {
    return fail(ErrorKind::io, "{}: the server answers with status {}", source_.shown, status);
  }
  // A weak ETag promises no equal bytes.
  const std::string validator = !response_.etag.empty() && !response_.etag.starts_with("W/")
                                    ? response_.etag
                                    : response_.last_modified;
  const ContentRange range = parse_content_range(response_.content_range);
  if (status == 206) {
    const std::string& expected = part_.state().validator;
    restart_ = range.start != part_.size_bytes() ||
               (!expected.empty() && !validator.empty() && validator != expected);
    if (restart_) return fail(ErrorKind::io, "the server's file has changed");
    total_bytes_ = range.total;
  } else {
    CB_TRY_STATUS(part_.truncate(0));
    CB_TRY_STATUS(part_.set_validator(validator));
    total_bytes_ = response_.content_length;
  }
  const std::uint64_t free = part_.free_bytes();
  limit_bytes_ = free > ~std::uint64_t{0} - part_.size_bytes() ? free : part_.size_bytes() + free;
  if (total_bytes_ && *total_bytes_ > limit_bytes_) {
    return fail(ErrorKind::budget, "{}: {} bytes are to come and the disk has room for {}",
                source_.shown, *total_bytes_ - part_.size_bytes(), free);
  }
  if (progress_ == nullptr) {
    progress_ =
        std::make_unique<Progress>(label_, total_bytes_.value_or(0), "bytes",
                                   ProgressOptions{.initial = part_.size_bytes(), .eager = true});
  }
  return {};
}

Status Download::accept(std::span<const std::uint8_t> bytes) {
  if (!body_begun_) CB_TRY_STATUS(begin_body());
  if (bytes.size() > limit_bytes_ - std::min(limit_bytes_, part_.size_bytes())) {
    return fail(ErrorKind::budget, "{}: the disk has no room for more than {} bytes", source_.shown,
                limit_bytes_);
  }
  CB_TRY_STATUS(part_.append(bytes));
  received_any_ = true;
  progress_->set(part_.size_bytes());
  return {};
}

std::size_t Download::on_header(char* data, std::size_t size, std::size_t count, void* self) {
  static_cast<Download*>(self)->read_header({data, size * count});
  return size * count;
}

std::size_t Download::on_body(char* data, std::size_t size, std::size_t count, void* self) {
  auto& download = *static_cast<Download*>(self);
  download.body_status_ =
      download.accept({reinterpret_cast<const std::uint8_t*>(data), size * count});
  // Any other number than that of the bytes given makes curl stop.
  return download.body_status_.ok() ? size * count : CURL_WRITEFUNC_ERROR;
}

int Download::on_tick(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return cancel_requested() ? 1 : 0;
}

Error Download::permanent(CURLcode code, long status) const {
  if (code == CURLE_HTTP_RETURNED_ERROR) {
    const bool missing = status == 404 || status == 410;
    return fail(missing ? ErrorKind::not_found : ErrorKind::io,
                "{}: the server answers with status {}{}", source_.shown, status,
                missing ? " (no such file)" : "");
  }
  if (code == CURLE_UNSUPPORTED_PROTOCOL) {
    return fail(ErrorKind::invalid, "{}: leads to something other than {}", source_.shown,
                source_.url.starts_with("https:") ? "https" : "http or https");
  }
  return fail(ErrorKind::io, "{}: {}{}", source_.shown,
              is_unreachable(code) ? "cannot be reached, is there a network? " : "", reason_);
}

/// What the end of an attempt means.
Result<Download::Outcome> Download::judge(CURLcode code) {
  long status = 0;
  curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
  reason_ = curl_message_[0] != '\0' ? curl_message_ : curl_easy_strerror(code);
  if (code == CURLE_ABORTED_BY_CALLBACK) return cancelled_error();
  if (restart_) {
    reason_ = body_status_.error().message;
    CB_TRY_STATUS(part_.truncate(0));
    return Outcome::again;
  }
  if (!body_status_.ok()) return body_status_.error();
  if (code == CURLE_HTTP_RETURNED_ERROR && status == 416) {
    // Asked for what comes after the last byte: complete, or the file has become shorter.
    if (parse_content_range(response_.content_range).total == part_.size_bytes()) {
      return Outcome::done;
    }
    CB_TRY_STATUS(part_.truncate(0));
    return Outcome::again;
  }
  if (code == CURLE_OK) {
    if (!body_begun_) CB_TRY_STATUS(begin_body());  // an empty body
    if (!total_bytes_ || part_.size_bytes() == *total_bytes_) return Outcome::done;
    reason_ = fmt::format("{} of {} bytes came", part_.size_bytes(), *total_bytes_);
    return Outcome::again;
  }
  const bool hopeless = is_unreachable(code) && !received_any_;
  if (!is_passing(code, status) || hopeless) return permanent(code, status);
  return Outcome::again;
}

Result<Download::Outcome> Download::attempt() {
  // Without a validator, and without a hash that would find out, a resumed file could be a mix.
  if (part_.state().validator.empty() && source_.expected_sha256.empty()) {
    CB_TRY_STATUS(part_.truncate(0));
  }
  response_ = {};
  body_begun_ = false;
  restart_ = false;
  body_status_ = {};
  curl_message_[0] = '\0';
  set_options();
  return judge(curl_easy_perform(curl_.get()));
}

Status Download::wait(double seconds) const {
  using clock = std::chrono::steady_clock;
  const auto end = clock::now() + std::chrono::duration<double>(seconds);
  while (clock::now() < end) {
    if (cancel_requested()) return cancelled_error();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return {};
}

Status Download::run() {
  constexpr int kMostAttempts = 1000;  // a server that sends a byte at a time is given up too
  constexpr double kLongestWaitSeconds = 30;
  std::uint64_t most_bytes = part_.size_bytes();
  int fruitless = 0;
  for (int count = 0; count < kMostAttempts; ++count) {
    CB_TRY(const Outcome outcome, attempt());
    if (outcome == Outcome::done) return {};
    fruitless = part_.size_bytes() > most_bytes ? 0 : fruitless + 1;
    most_bytes = std::max(most_bytes, part_.size_bytes());
    if (fruitless >= options_.attempts) break;
    const double seconds =
        options_.backoff_seconds * static_cast<double>(1 << std::min(fruitless, 10));
    CB_TRY_STATUS(wait(std::min(seconds, kLongestWaitSeconds)));
  }
  return fail(ErrorKind::io,
              "{}: gave up after {} attempts without a new byte: {}; pull again to go on",
              source_.shown, fruitless, reason_);
}

}  // namespace

Status http_download(HttpSource& source, const PullRequest& options, const std::string& label,
                     PartialFile& part) {
  return Download(source, options, label, part).run();
}

}  // namespace checkbit
