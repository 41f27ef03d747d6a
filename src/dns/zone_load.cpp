#include <utility>

#include "dns/zone.h"
#include "dns/zone_builder.h"
#include "dns/zone_file.h"
#include "dns/zone_problems.h"

namespace postern::dns {

ZoneLoad load_zone(const std::string& path, NameView apex, const ZoneLoadLimits& limits) {
  ZoneProblems problems(limits.problems_max);
  ZoneBuilder builder(apex, &problems);
  ZoneLoad load;
  {
    ZoneFileReader reader(apex, limits, &builder, &problems);
    reader.read(path);
    load.content_hash = reader.content_hash();
  }
  load.zone = builder.finish();
  load.files = problems.files();
  load.problem_count = problems.count();
  load.problems = problems.take();
  return load;
}

}  // namespace postern::dns
