# fields on process: process.exec
# line 1
    0  mov %r6, %r1
# line 9
    1  mov %r1, %r6
    2  mov %r2, 0                   # number of process.name
    3  mov %r3, 0                   # number of process.parent.name
    4  mov %r4, 256
    5  call 1024
    6  jne %r0, 1, +6               # -> 13
    7  mov %r1, %r6
    8  mov %r2, 0                   # number of process.args
    9  mov %r3, 0                   # number of process.parent.executable
   10  mov %r4, 513
   11  call 1024
   12  jeq %r0, 1, +36              # -> 49
# line 1
   13  ldxw %r0, [%r6+12]
   14  jset %r0, 1, +2              # -> 17
   15  mov %r0, 0
   16  exit
# line 9
   17  ldxb %r1, [%r6]              # state of process.name
   18  jeq %r1, 0, +26              # -> 45
   19  ldxb %r1, [%r6]              # state of process.parent.name
   20  jeq %r1, 0, +24              # -> 45
   21  ldxb %r1, [%r6]              # state of process.name
   22  jset %r1, 2, +8              # -> 31
   23  ldxb %r1, [%r6]              # state of process.parent.name
   24  jset %r1, 2, +6              # -> 31
   25  mov %r1, %r6
   26  mov %r2, 0                   # number of process.name
   27  mov %r3, 0                   # number of process.parent.name
   28  mov %r4, 256
   29  call 1024
   30  jeq %r0, 0, +14              # -> 45
   31  ldxb %r1, [%r6]              # state of process.args
   32  jeq %r1, 0, +12              # -> 45
   33  ldxb %r1, [%r6]              # state of process.parent.executable
   34  jeq %r1, 0, +10              # -> 45
   35  ldxb %r1, [%r6]              # state of process.args
   36  jset %r1, 2, +10             # -> 47
   37  ldxb %r1, [%r6]              # state of process.parent.executable
   38  jset %r1, 2, +8              # -> 47
   39  mov %r1, %r6
   40  mov %r2, 0                   # number of process.args
   41  mov %r3, 0                   # number of process.parent.executable
   42  mov %r4, 513
   43  call 1024
   44  jne %r0, 0, +2               # -> 47
# line 1
   45  mov %r0, 0
   46  exit
   47  mov %r0, 2
   48  exit
   49  mov %r0, 1
   50  exit
# worst case 82223 fuel
