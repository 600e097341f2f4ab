# Stands in for Vagrant: loads the Vagrantfile named on the command line and
# prints what it asks for, a line each.
class Recorder < BasicObject
  def initialize(name)
    @name = name
  end

  def vm
    self
  end
  alias ssh vm

  def define(name)
    yield ::Recorder.new(name)
  end

  def provider(kind)
    yield ::Recorder.new("#{@name} #{kind}")
  end

  def method_missing(call, *args, **options)
    ::Kernel.puts "#{@name} #{call} #{args.join(' ')} #{options.map { |k, v| "#{k}=#{v}" unless k == :inline }.compact.join(' ')}".strip
    ::IO.popen(["sh", "-n"], "w") { |sh| sh.write options[:inline] } if options[:inline]
  end

  def respond_to_missing?(*)
    true
  end
end

module Vagrant
  def self.configure(_version)
    yield Recorder.new("all")
  end
end

load ARGV.fetch(0)
