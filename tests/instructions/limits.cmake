# Name, times, units in one time, and thousandths of an instruction for each unit: of a parameter, or
# an update. With Debian 12's g++ 12.2, release build, baseline x86-64.
set(limits
  "merge 40 65536 5917"
  "merge_int8 40 65536 8029"
  "encode_int4 20 65536 12776"
  "settle 4000 1 8922119")
