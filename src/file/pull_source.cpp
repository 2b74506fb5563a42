#include "file/pull_source.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <memory>

#include "file/gguf_layout.h"
#include "file/sha256.h"

namespace checkbit {
namespace {

using gguf_layout::quoted;

constexpr std::string_view kHuggingFacePrefix = "hf:";
constexpr std::string_view kExtension = ".gguf";

struct UrlCloser {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  const std::unique_ptr<char, void (*)(void*)> owner(text, curl_free);
  return text;
}

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// The cache name for the last segment of a path; empty when nothing is left of it.
std::string name_from_path(const std::string& path) {
  std::string name = path.substr(path.rfind('/') + 1);
  if (lower_case(name).ends_with(kExtension)) name.resize(name.size() - kExtension.size());
  for (char& c : name) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
    if (!plain) c = '_';
  }
  name.erase(0, name.find_first_not_of('.'));
  return name.substr(0, 200);
}

/// hf:OWNER/REPO/FILE, FILE with further '/' allowed, as an URL.
Result<std::string> hugging_face_url(std::string_view text) {
  const std::string_view path = text.substr(kHuggingFacePrefix.size());
  std::vector<std::string> segments;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    segments.emplace_back(path.substr(start, end - start));
    start = end + 1;
  }
  const bool proper = segments.size() >= 3 && std::ranges::none_of(segments, [](const auto& part) {
                        return part.empty() || part == "." || part == "..";
                      });
  if (!proper) {
    return fail(ErrorKind::invalid, "{}: expected hf:OWNER/REPO/FILE.gguf", quoted(text));
  }
  for (std::string& segment : segments) {
    const std::unique_ptr<char, void (*)(void*)> escaped(
        curl_easy_escape(nullptr, segment.data(), static_cast<int>(segment.size())), curl_free);
    segment = escaped == nullptr ? "" : escaped.get();
  }
  const char* const endpoint = std::getenv("CHECKBIT_HF_ENDPOINT");
  std::string url = endpoint == nullptr ? "https://huggingface.co" : endpoint;
  url += fmt::format("/{}/{}/resolve/main", segments[0], segments[1]);
  for (std::size_t i = 2; i < segments.size(); ++i) url += "/" + segments[i];
  return url;
}

}  // namespace

bool is_url_source(std::string_view text) {
  return text.starts_with(kHuggingFacePrefix) || text.find("://") != std::string_view::npos;
}

Result<UrlModel> parse_url_source(std::string_view text) {
  UrlModel model;
  std::string written(text);
  if (text.starts_with(kHuggingFacePrefix)) {
    CB_TRY(written, hugging_face_url(text));
    model.source.linked_etag = true;
  }
  const std::unique_ptr<CURLU, UrlCloser> url(curl_url());
  CB_CHECK(url != nullptr);
  if (curl_url_set(url.get(), CURLUPART_URL, written.c_str(), 0) != CURLUE_OK) {
    return fail(ErrorKind::invalid, "{}: not a URL", quoted(text));
  }
  const std::string scheme = part_of(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    return fail(ErrorKind::invalid, "{}: only http, https and hf: are fetched", quoted(text));
  }
  const std::string fragment = part_of(url.get(), CURLUPART_FRAGMENT);
  constexpr std::string_view kHashPrefix = "sha256=";
  if (fragment.starts_with(kHashPrefix)) {
    model.source.expected_sha256 = lower_case(fragment.substr(kHashPrefix.size()));
    if (!is_sha256(model.source.expected_sha256)) {
      return fail(ErrorKind::invalid, "{}: sha256= is not followed by 64 hexadecimal digits",
                  quoted(text));
    }
  } else if (!fragment.empty()) {
    return fail(ErrorKind::invalid, "{}: after '#' only sha256=HEX is understood", quoted(text));
  }
  curl_url_set(url.get(), CURLUPART_FRAGMENT, nullptr, 0);
  model.source.url = part_of(url.get(), CURLUPART_URL);
  const std::string port = part_of(url.get(), CURLUPART_PORT);
  const std::string path = part_of(url.get(), CURLUPART_PATH);
  model.source.shown = fmt::format("{}://{}{}{}{}", scheme, part_of(url.get(), CURLUPART_HOST),
                                   port.empty() ? "" : ":", port, path);
  model.name = name_from_path(part_of(url.get(), CURLUPART_PATH, CURLU_URLDECODE));
  if (model.name.empty()) {
    return fail(ErrorKind::invalid, "{}: the URL does not end in the name of a file", quoted(text));
  }
  return model;
}

}  // namespace checkbit
