// Downloading one file over http(s), with resume. Private to file/.
//
// What: fills a PartialFile. A connection that breaks or stalls is taken up where it was (Range
// with
//   If-Range), a server that has another file by now or cannot resume starts it again from zero.
//   Redirects stay within http(s) and never leave https.
// Errors: not_found (404, 410), io (no network, refused, gave up), budget (disk space), invalid
//   (redirect to another protocol, cancelled).
// Threads: one download per PartialFile.
#pragma once

#include <string>

#include "base/result.h"
#include "file/partial_file.h"
#include "file/pull.h"

namespace checkbit {

struct HttpSource {
  std::string url;
  std::string shown;            ///< the URL for messages: no password, no query
  std::string expected_sha256;  ///< lower case; empty: not known
  bool linked_etag = false;     ///< a SHA-256 in X-Linked-ETag may be believed (Hugging Face)
};

/// Sets `source.expected_sha256` when the server is entitled to and does.
Status http_download(HttpSource& source, const PullRequest& options, const std::string& label,
                     PartialFile& part);

}  // namespace checkbit
