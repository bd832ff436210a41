# Renders one template of a job as BOSH does: erb.rb TEMPLATE <CONTEXT >RESULT
#
# CONTEXT is JSON: "definitions", the properties of the job's spec; "properties", those
# of the manifest; and "spec", what BOSH tells about the instance. A template sees only
# properties that its job's spec defines.

require "erb"
require "json"
require "ostruct"

class Context
  class Unknown < StandardError; end

  # What if_p returns, for "if_p(...) { }.else { }" and "... .else_if_p(...) { }".
  class Otherwise
    def initialize(context, wanted)
      @context, @wanted = context, wanted
    end

    def else
      yield if @wanted
    end

    def else_if_p(*names, &block)
      @wanted ? @context.if_p(*names, &block) : self
    end
  end

  attr_reader :spec, :properties

  def initialize(definitions, given, spec)
    @values = {}
    definitions.each do |name, definition|
      value = dig(given, name)
      put(name, value.nil? ? (definition || {})["default"] : value)
    end
    @properties = structure(@values)
    @spec = structure(spec)
  end

  def name = @spec.name

  def index = @spec.index

  def p(names, *default)
    Array(names).each do |name|
      value = dig(@values, name)
      return value unless value.nil?
    end
    raise Unknown, "no property #{Array(names).join(" or ")}" if default.empty?
    default.first
  end

  def if_p(*names)
    values = names.map { |name| dig(@values, name) }
    return Otherwise.new(self, true) if values.any?(&:nil?)
    yield(*values)
    Otherwise.new(self, false)
  end

  def link(name)
    raise Unknown, "no link #{name}"
  end

  def if_link(_name) = Otherwise.new(self, true)

  def render(path)
    template = ERB.new(File.read(path), trim_mode: "-")
    template.filename = path
    template.result(binding)
  end

  private

  def dig(values, name)
    name.split(".").reduce(values) { |found, key| found.is_a?(Hash) ? found[key] : nil }
  end

  def put(name, value)
    *path, last = name.split(".")
    path.reduce(@values) { |place, key| place[key] ||= {} }[last] = value
  end

  def structure(value)
    case value
    when Hash then OpenStruct.new(value.transform_values { |item| structure(item) })
    when Array then value.map { |item| structure(item) }
    else value
    end
  end
end

context = JSON.parse($stdin.read)
print Context.new(*context.values_at("definitions", "properties", "spec")).render(ARGV[0])
