#include "base/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace checkbit {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class AtomicFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "atomic_file_test_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    target_ = folder_ + "/out.bin";
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void put(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      found.insert(entry.path().filename().string());
    }
    return found;
  }

  std::string folder_;
  std::string target_;
};

TEST_F(AtomicFileTest, AppearsOnlyOnCommit) {
  auto file = AtomicFile::create(target_);
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_TRUE(file->write("half ").ok());
  EXPECT_FALSE(fs::exists(target_));
  EXPECT_EQ(read(file->temporary_path()), "half ");
  ASSERT_TRUE(file->write("whole").ok());
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(read(target_), "half whole");
  EXPECT_EQ(file->size_bytes(), 10u);
  EXPECT_EQ(names(), std::set<std::string>{"out.bin"});
}

TEST_F(AtomicFileTest, OverwrittenBytesKeepTheRest) {
  auto file = AtomicFile::create(target_);
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_TRUE(file->write("loss ?.?? here").ok());
  const std::string figure = "0.25";
  ASSERT_TRUE(file->overwrite(5, {reinterpret_cast<const std::uint8_t*>(figure.data()), 4}).ok());
  ASSERT_TRUE(file->write(", end").ok());
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(read(target_), "loss 0.25 here, end");
}

TEST_F(AtomicFileTest, ExtendedByZerosGoesOnBehindThem) {
  auto file = AtomicFile::create(target_);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->write("ab").ok());
  ASSERT_TRUE(file->extend(3).ok());
  EXPECT_EQ(file->size_bytes(), 5u);
  ASSERT_TRUE(file->write("cd").ok());
  const std::uint8_t bytes[] = {'x', 'y'};
  ASSERT_TRUE(file->overwrite(3, bytes).ok());
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(read(target_), std::string("ab\0xycd", 7));
}

TEST_F(AtomicFileTest, AbandonedLeavesTheOldFile) {
  put(target_, "old");
  {
    auto file = AtomicFile::create(target_);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("new").ok());
  }
  EXPECT_EQ(read(target_), "old");
  EXPECT_EQ(names(), std::set<std::string>{"out.bin"});
}

TEST_F(AtomicFileTest, TwoWritersDoNotMeet) {
  auto first = AtomicFile::create(target_);
  auto second = AtomicFile::create(target_);
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_TRUE(first->write("first").ok());
  ASSERT_TRUE(second->write("second").ok());
  ASSERT_TRUE(second->commit().ok());
  EXPECT_EQ(read(target_), "second");
  ASSERT_TRUE(first->commit().ok());
  EXPECT_EQ(read(target_), "first");
}

TEST_F(AtomicFileTest, KeepsPermissionsOfAReplacedFile) {
  put(target_, "old");
  ASSERT_EQ(::chmod(target_.c_str(), 0640), 0);
  ASSERT_TRUE(write_file_atomically(target_, "new").ok());
  struct stat status {};
  ASSERT_EQ(::stat(target_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
}

TEST_F(AtomicFileTest, WritesThroughASymbolicLink) {
  put(folder_ + "/real.bin", "old");
  fs::create_symlink("real.bin", target_);
  ASSERT_TRUE(write_file_atomically(target_, "new").ok());
  EXPECT_TRUE(fs::is_symlink(target_));
  EXPECT_EQ(read(folder_ + "/real.bin"), "new");
}

TEST_F(AtomicFileTest, LongNamesLeaveRoomForTheTemporary) {
  const std::string longest = folder_ + "/" + std::string(255, 'n');
  ASSERT_TRUE(write_file_atomically(longest, "x").ok());
  EXPECT_EQ(read(longest), "x");
}

TEST_F(AtomicFileTest, MissingFolderIsAnError) {
  const std::string path = folder_ + "/missing/out.bin";
  const auto file = AtomicFile::create(path);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().kind, ErrorKind::io);
  EXPECT_EQ(file.error().message, path + ": cannot write: No such file or directory");
}

TEST_F(AtomicFileTest, DirectoriesAndDevicesAreRefused) {
  for (const std::string& path : {folder_, folder_ + "/", std::string("/dev/null")}) {
    const auto file = AtomicFile::create(path);
    ASSERT_FALSE(file.ok()) << path;
    EXPECT_EQ(file.error().kind, ErrorKind::io);
    EXPECT_THAT(file.error().message, HasSubstr("not a regular file"));
  }
}

TEST_F(AtomicFileTest, ReserveBeyondTheDiskFailsAtOnce) {
  auto file = AtomicFile::create(target_);
  ASSERT_TRUE(file.ok());
  const auto status = file->reserve(std::uint64_t{1} << 63);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::io);
  EXPECT_THAT(status.error().message, HasSubstr("out.bin: cannot reserve"));
}

/// Runs `body` in a child process and returns its wait status.
template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST_F(AtomicFileTest, FileSizeLimitLeavesTheOldFile) {
  put(target_, "old");
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 16, 1 << 16};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(2);
    auto file = AtomicFile::create(target_);
    if (!file.ok()) ::_exit(3);
    const auto written = file->write(std::string(1 << 17, 'x'));
    if (written.ok()) ::_exit(4);
    if (written.error().kind != ErrorKind::io) ::_exit(5);
    if (written.error().message.find("cannot write: File too large") == std::string::npos) {
      ::_exit(6);
    }
    if (file->size_bytes() != 1 << 16) ::_exit(7);  // a short write came first
    { const AtomicFile abandoned = *std::move(file); }
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(read(target_), "old");
  EXPECT_EQ(names(), std::set<std::string>{"out.bin"});
}

TEST_F(AtomicFileTest, FullDiskLeavesTheOldFile) {
  const char* const small_disk = std::getenv("CHECKBIT_TEST_FULL_DISK");
  if (small_disk == nullptr) {
    GTEST_SKIP() << "set CHECKBIT_TEST_FULL_DISK to a folder on a disk of under 16 MiB";
  }
  const std::string target = std::string(small_disk) + "/out.bin";
  ASSERT_TRUE(write_file_atomically(target, "old").ok());
  {
    auto file = AtomicFile::create(target);
    ASSERT_TRUE(file.ok());
    EXPECT_FALSE(file->reserve(16 << 20).ok());
    const auto status = file->write(std::string(16 << 20, 'x'));
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().message, HasSubstr("No space left on device"));
  }
  EXPECT_EQ(read(target), "old");
}

TEST_F(AtomicFileTest, KilledWriterLeavesTheOldFileAndTheNextCleansUp) {
  put(target_, "old");
  const int status = in_child([&] {
    auto file = AtomicFile::create(target_);
    if (!file.ok() || !file->write("half a file").ok()) ::_exit(2);
    ::kill(::getpid(), SIGKILL);
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(read(target_), "old");
  ASSERT_EQ(names().size(), 2u);
  ASSERT_TRUE(write_file_atomically(target_, "new").ok());
  EXPECT_EQ(read(target_), "new");
  EXPECT_EQ(names(), std::set<std::string>{"out.bin"});
}

TEST_F(AtomicFileTest, CleaningUpSparesOthers) {
  const std::string alive = fmt::format(".out.bin.partial-{}", ::getppid());
  put(folder_ + "/" + alive, "in use");
  put(folder_ + "/.out.bin.partial-notes", "a user's own file");
  put(folder_ + "/.out.bin2.partial-999999999", "of another target");
  ASSERT_TRUE(write_file_atomically(target_, "new").ok());
  EXPECT_EQ(names(), (std::set<std::string>{"out.bin", alive, ".out.bin.partial-notes",
                                            ".out.bin2.partial-999999999"}));
}

}  // namespace
}  // namespace checkbit
