require "fiddle"

callback = Fiddle::Closure::BlockCaller.new(Fiddle::TYPE_VOID, []) { puts "at exit" }
atexit = Fiddle::Function.new(Fiddle.dlopen(nil)["__cxa_atexit"], [Fiddle::TYPE_VOIDP] * 3, Fiddle::TYPE_INT)
atexit.call(callback, nil, nil)
puts "main returns"
