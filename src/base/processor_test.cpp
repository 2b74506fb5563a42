#include "base/processor.h"

#include <set>
#include <utility>

#include "base/made_up_tree.h"

namespace checkbit {
namespace {

class ProcessorName : public MadeUpTree {
 protected:
  std::string of(const std::string& cpuinfo) {
    write("cpuinfo", cpuinfo);
    return processor_name(root_ + "/cpuinfo");
  }
};

TEST_F(ProcessorName, IsTheOneThatTheSystemGives) {
  EXPECT_EQ(of("processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9R14 \n\n"
               "processor\t: 1\nmodel name\t: another\n"),
            "AMD EPYC 9R14");
  EXPECT_EQ(of(""), "unknown");
  EXPECT_EQ(of("model name\t:\nmodel name of what: x\n"), "unknown");
  EXPECT_EQ(processor_name(root_ + "/none"), "unknown");
  EXPECT_FALSE(processor_name().empty());
}

TEST_F(ProcessorName, OfArmComesFromItsNumbers) {
  const std::string n1 =
      "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
      "CPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n";
  EXPECT_EQ(of(n1 + n1), "Arm Neoverse N1");
  EXPECT_EQ(of("CPU implementer\t: 0x61\nCPU part\t: 0x022\nCPU implementer\t: 0x61\n"
               "CPU part\t: 0x023\nCPU implementer\t: 0x61\nCPU part\t: 0x022\n"),
            "Apple M1 Icestorm + Apple M1 Firestorm");
  EXPECT_EQ(of("CPU implementer\t: 0x7f\nCPU part\t: 0x12\n"), "Arm processor 0x7f, part 0x012");
  EXPECT_EQ(of("CPU implementer\t: none\nCPU part\t: what\n"), "Arm processor 0x00, part 0x000");
}

TEST(ArmProcessors, HaveEachNumberAndNameOnce) {
  std::set<std::pair<std::uint32_t, std::uint32_t>> numbers;
  std::set<std::string_view> names;
  for (const ArmProcessor& each : arm_processors()) {
    EXPECT_TRUE(numbers.emplace(each.implementer, each.part).second) << each.name;
    EXPECT_TRUE(names.insert(each.name).second) << each.name;
    EXPECT_LE(each.implementer, 0xffu) << each.name;  // as wide as in the register
    EXPECT_LE(each.part, 0xfffu) << each.name;
  }
}

}  // namespace
}  // namespace checkbit
