variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "project" {
  type        = string
  description = "The project."
}

variable "region" {
  type        = string
  description = "Google's name of the region."
}

variable "emails" {
  type        = list(string)
  description = "Who is told."
}

variable "database" {
  type        = string
  description = "Name of the database's instance."
}

variable "cache" {
  type        = string
  description = "Name of the cache."
}

variable "watched_domain" {
  type        = string
  description = "Name that is asked from outside every minute; null: none."
  default     = null
}
