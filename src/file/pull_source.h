// What the argument of `checkbit pull` means. Private to file/.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "file/http_download.h"

namespace checkbit {

/// A model to be fetched by URL, and the name it gets in the cache.
struct UrlModel {
  HttpSource source;
  std::string name;  ///< letters, digits, '.', '_' and '-', not starting with '.'
};

/// `text` is an http(s) URL or hf:OWNER/REPO/FILE (on $CHECKBIT_HF_ENDPOINT, by default
/// https://huggingface.co). Errors: invalid.
Result<UrlModel> parse_url_source(std::string_view text);

/// Does it look like something for parse_url_source rather than a name?
bool is_url_source(std::string_view text);

}  // namespace checkbit
