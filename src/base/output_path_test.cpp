#include "base/output_path.h"

#include <gtest/gtest.h>

namespace checkbit {
namespace {

TEST(OutputPath, FoldersAndPathsInMissingOnesAreRefused) {
  const std::string folder = testing::TempDir();
  EXPECT_TRUE(check_output_path(folder + "new.html").ok());
  EXPECT_TRUE(check_output_path("new.html").ok());
  const Status is_folder = check_output_path(folder);
  ASSERT_FALSE(is_folder.ok());
  EXPECT_EQ(is_folder.error().kind, ErrorKind::invalid);
  const Status missing = check_output_path(folder + "no/such/new.html");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_NE(missing.error().message.find("there is no folder " + folder + "no/such"),
            std::string::npos);
}

}  // namespace
}  // namespace checkbit
