#! map counts hash key=4
    frob r1, 2
    exit
