# families on process: process.exec
# p0: process.name equals ["curl"]
# line 9
    0  ldxb %r4, [%r2]              # byte of p0
    1  jset %r4, 0, +12             # -> 14  p0 true
# line 1
    2  ldxw %r0, [%r1+12]
    3  jset %r0, 1, +2              # -> 6
    4  mov %r0, 0
    5  exit
# line 9
    6  ldxb %r4, [%r2]              # byte of p0
    7  jset %r4, 0, +2              # -> 10  p0 known
    8  ldxb %r4, [%r1]              # state of process.name
    9  jne %r4, 0, +2               # -> 12
# line 1
   10  mov %r0, 0
   11  exit
   12  mov %r0, 2
   13  exit
   14  mov %r0, 1
   15  exit
# worst case 10 fuel
# families on file: file.create
# p0: process.name equals ["curl"]
# p1: file.path startswith ["/tmp/"]
# line 9
    0  ldxb %r4, [%r2]              # byte of p0
    1  jset %r4, 0, +1              # -> 3  p0 true
    2  ja +4                        # -> 7
    3  ldxb %r4, [%r2]              # byte of p1
    4  jset %r4, 0, +23             # -> 28  p1 true
    5  ldxb %r4, [%r1]              # state of file.path
    6  jeq %r4, 0, +21              # -> 28
# line 1
    7  ldxw %r0, [%r1+12]
    8  jset %r0, 1, +2              # -> 11
    9  mov %r0, 0
   10  exit
# line 9
   11  ldxb %r4, [%r2]              # byte of p0
   12  jset %r4, 0, +3              # -> 16  p0 true
   13  jset %r4, 0, +10             # -> 24  p0 known
   14  ldxb %r4, [%r1]              # state of process.name
   15  jeq %r4, 0, +8               # -> 24
   16  ldxb %r4, [%r2]              # byte of p1
   17  jset %r4, 0, +8              # -> 26  p1 true
   18  jset %r4, 0, +2              # -> 21  p1 known
   19  ldxb %r4, [%r1]              # state of file.path
   20  jne %r4, 0, +5               # -> 26
   21  ldxb %r4, [%r1]              # state of file.path
   22  jset %r4, 1, +1              # -> 24
   23  ja +2                        # -> 26
# line 1
   24  mov %r0, 0
   25  exit
   26  mov %r0, 2
   27  exit
   28  mov %r0, 1
   29  exit
# worst case 23 fuel
